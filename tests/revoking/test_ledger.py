"""The rows' state machine: two processes, a clock, and every order of what they do."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from hypothesis import HealthCheck, settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from instant.models import Revocation
from instant.revoking import ledger
from instant.revoking.affected import Affected

START = datetime(2030, 1, 1, tzinfo=UTC)
TOKEN_USE = timedelta(seconds=32)
PROCESSES = strategies.sampled_from([0, 1])
ABOUT = Affected(reconnects={"7"})


class Process:
    """What a process holds in its memory: lost when it is killed."""

    def __init__(self):
        self.row = None
        self.seen = None


class Ledger(RuleBasedStateMachine):
    """
    One change, and processes that interleave between any two queries.

    ``checks`` are the moments of checks that were made after the commit. The row may go only
    after a check at the commit or later, and one more when old tokens were dead.
    """

    def __init__(self):
        super().__init__()
        Revocation.objects.all().delete()
        self.now = START
        self.processes = [Process(), Process()]
        self.committed = None
        self.checks = []
        row = ledger.write(ABOUT, self.now)
        self.writer = self.processes[0]
        self.writer.row = row

    @rule(seconds=strategies.sampled_from([1, 6, 40]))
    def time_passes(self, seconds):
        self.now += timedelta(seconds=seconds)

    @precondition(lambda self: self.committed is None)
    @rule()
    def commit(self):
        self.committed = self.now
        if self.writer.row is not None:
            self.writer.seen = self.now
            self.checks.append(self.now)

    @precondition(lambda self: self.committed is not None)
    @rule(which=PROCESSES)
    def claim(self, which):
        process = self.processes[which]
        if process.row is None and (rows := ledger.claim(self.now)):
            [process.row] = rows
            process.seen = self.now
            self.checks.append(self.now)

    @rule(which=PROCESSES)
    def hold(self, which):
        process = self.processes[which]
        if process.row is not None and process.seen is not None:
            Revocation.objects.filter(pk=process.row.pk, claim=process.row.claim).update(
                due_at=self.now + ledger.LEASE
            )

    @precondition(lambda self: self.committed is not None)
    @rule(which=PROCESSES, works=strategies.booleans())
    def finish(self, which, works):
        process = self.processes[which]
        if process.row is None or process.seen is None:
            return
        row, process.row = process.row, None
        if not works:
            ledger.postpone(row, self.now + timedelta(seconds=1))
        elif row.is_last:
            ledger.forget([row])
        else:
            ledger.confirm(row, process.seen + TOKEN_USE)

    @rule(which=PROCESSES)
    def leave_it_to_another(self, which):
        process = self.processes[which]
        if process.row is not None and process.seen is not None:
            ledger.release(process.row, self.now)
            process.row = None

    @rule(which=PROCESSES)
    def is_killed(self, which):
        self.processes[which].__init__()

    @invariant()
    def nothing_is_lost(self):
        left = list(Revocation.objects.all())
        if self.committed is None:
            assert left
            return
        first = [at for at in self.checks if at >= self.committed]
        last = [at for at in self.checks if at >= self.committed + TOKEN_USE]
        if not left:
            assert first, "Gone before anybody checked."
            assert last, "Gone before a check at which old tokens were dead."
        for row in left:
            if row.is_last:
                assert first, "Followed up before anybody checked."

    def teardown(self):
        """Whatever has happened: processes that work come to an end with it."""
        self.commit() if self.committed is None else None
        for process in self.processes:
            process.__init__()
        for _ in range(4):
            self.now += timedelta(minutes=5)
            self.claim(0)
            if self.processes[0].row is not None:
                self.finish(0, works=True)
            self.nothing_is_lost()
        assert not Revocation.objects.exists()


@pytest.mark.slow
def test_no_order_of_two_processes_loses_a_row(transactional_db):
    Ledger.TestCase.settings = settings(
        max_examples=60,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    Ledger.TestCase().runTest()


# The same by brute force: every state that few steps lead to, each looked at once.


class World:
    """The row, what two processes remember, and what was done; seconds are counted from now."""

    def __init__(self, row, held, committed, checks):
        self.row, self.held, self.committed, self.checks = row, held, committed, checks
        # checks: whether there was one after the commit, and one when old tokens were dead

    def key(self):
        names = {claim: number for number, (claim, *_) in enumerate(self.held) if claim}
        row = self.row and (names.get(self.row[0], bool(self.row[0])), *self.row[1:])
        held = tuple((bool(claim), *rest) for claim, *rest in self.held)
        return (row, held, self.committed, self.checks)


FREE = ("", False, 0, None)
STEPS = [
    ("commit",),
    *(("wait", seconds) for seconds in (1, 6, 40)),
    *((what, n) for what in ("claim", "done", "failed", "release", "die") for n in (0, 1)),
]


def stored_row(claim, is_last, due):
    moment = START + timedelta(seconds=due)
    loss = ABOUT.as_json()
    return Revocation(
        pk=1, claim=claim, is_last=is_last, due_at=moment, created_at=START, loss=loss
    )


def after(world, step):
    """Return the world after a step; None where it can't be made."""
    what, *arguments = step
    row, held, committed, checks = world.row, list(world.held), world.committed, world.checks
    if what == "commit":
        if committed is not None:
            return None
        if held[0][0]:
            held[0] = (*held[0][:3], 0)
        return World(row, tuple(held), 0, (bool(held[0][0]), False))
    if committed is None:
        return None
    if what == "wait":
        [seconds] = arguments
        held = [(c, last, due, None if s is None else s - seconds) for c, last, due, s in held]
        moved = row and (row[0], row[1], max(row[2] - seconds, -1))
        return World(moved, tuple(held), max(committed - seconds, -99), checks)
    [number] = arguments
    claim, is_last, due, seen = held[number]
    if (what == "claim") == bool(claim):
        return None
    held[number] = FREE
    if what == "die":
        return World(row, tuple(held), committed, checks)
    Revocation.objects.all().delete()
    if row:
        stored_row(*row).save(force_insert=True)
    if what == "claim":
        if not (rows := ledger.claim(START)):
            return None
        held[number] = (rows[0].claim, rows[0].is_last, 0, 0)
        checks = (True, checks[1] or -committed >= TOKEN_USE.total_seconds())
    else:
        mine = stored_row(claim, is_last, due)
        if what == "failed":
            ledger.postpone(mine, START + timedelta(seconds=1))
        elif what == "release":
            ledger.release(mine, START)
        elif is_last:
            ledger.forget([mine])
        else:
            ledger.confirm(mine, START + timedelta(seconds=seen) + TOKEN_USE)
    left = Revocation.objects.first()
    row = left and (left.claim, left.is_last, int((left.due_at - START).total_seconds()))
    return World(row, tuple(held), committed, checks)


def is_wrong(world):
    """Tell whether a row is gone, or called followed up, too early."""
    if world.committed is None:
        return False
    first, last = world.checks
    return not (first and last) if world.row is None else world.row[1] and not first


@pytest.mark.slow
def test_no_state_within_seven_steps_has_lost_a_row(db):
    lease = int(ledger.LEASE.total_seconds())
    start = World(("a", False, lease), (("a", False, lease, None), FREE), None, (False, False))
    seen, worlds = {start.key()}, [(start, ())]
    for _ in range(7):
        following = []
        for world, path in worlds:
            for step in STEPS:
                new = after(world, step)
                if new is None or new.key() in seen:
                    continue
                seen.add(new.key())
                assert not is_wrong(new), (*path, step)
                following.append((new, (*path, step)))
        worlds = following
    assert len(seen) > 500


@pytest.fixture
def row(db):
    return ledger.write(ABOUT, START)


def test_who_has_lost_the_lease_moves_nothing_on(row):
    [taken] = ledger.claim(START + ledger.LEASE)
    assert taken.claim != row.claim
    assert not ledger.confirm(row, START)
    assert not ledger.release(row, START)
    assert not ledger.postpone(row, START)
    assert not ledger.widen(row, ABOUT)
    assert ledger.drop([row]) == ledger.forget([row]) == 0
    assert ledger.confirm(taken, START)
    assert not ledger.confirm(taken, START)


def test_what_nobody_holds_has_to_be_claimed(row):
    assert ledger.release(row, START)
    row.refresh_from_db()
    assert row.claim == ""
    assert not ledger.confirm(row, START)
    assert ledger.drop([row]) == 0


def test_a_row_that_is_claimed_twice_is_one_process_s(row):
    now = START + ledger.LEASE
    assert len(ledger.claim(now)) == 1
    assert ledger.claim(now) == []


def test_a_claim_takes_what_it_read_and_nothing_newer(row, django_assert_num_queries):
    """Somebody claims and confirms between the reading and the taking."""
    now = START + ledger.LEASE

    def meanwhile(execute, sql, *arguments):
        if sql.startswith("UPDATE") and not done:
            done.append(True)
            [taken] = ledger.claim(now)
            ledger.confirm(taken, now)  # due at once, and the last check
        return execute(sql, *arguments)

    done = []
    with connection.execute_wrapper(meanwhile):
        first, *others = ledger.claim(now)
    assert done
    assert not others
    assert first.is_last, "Else the follow-up would have been taken for the first check."


# During a deploy: the code before beside this one, on the same rows. What it did, by hand.


def old_claim(now):
    due = list(Revocation.objects.filter(due_at__lte=now).values_list("pk", flat=True))
    Revocation.objects.filter(pk__in=due, due_at__lte=now).update(
        due_at=now + timedelta(seconds=30), claim="old"
    )
    return list(Revocation.objects.filter(claim="old"))


def old_confirm(row, now):
    Revocation.objects.filter(pk=row.pk).update(
        due_at=now + timedelta(seconds=35), is_last=True, attempts=0
    )


OLD = {"reconnects": ["7"], "channels": ["doc:1"]}


def test_a_row_of_the_code_before_is_worked_off(db):
    row = Revocation.objects.create(loss=OLD, created_at=START, due_at=START)
    [taken] = ledger.claim(START)
    about = Affected.from_json(taken.loss)
    assert about == Affected(channels={"doc:1"}, sessions={"7"})
    assert ledger.confirm(taken, START + TOKEN_USE)
    [taken] = ledger.claim(START + TOKEN_USE)
    assert taken.is_last
    assert taken.pk == row.pk
    assert ledger.forget([taken]) == 1


def test_a_row_that_the_code_before_left_in_the_middle_is_taken_over(db):
    Revocation.objects.create(loss=OLD, created_at=START, due_at=START)
    [row] = old_claim(START)
    assert ledger.claim(START) == []
    [taken] = ledger.claim(START + timedelta(seconds=30))
    assert not taken.is_last
    old_confirm(row, START + timedelta(seconds=31))  # it was only slow
    assert not ledger.confirm(taken, START)
    [last] = ledger.claim(START + timedelta(seconds=66))
    assert last.is_last


def test_the_code_before_works_off_a_row_of_this_one(row):
    now = START + ledger.LEASE
    [taken] = old_claim(now)
    assert not ledger.confirm(row, now), "The committer finds it taken."
    old_confirm(taken, now)
    [taken] = old_claim(now + timedelta(seconds=35))
    assert taken.is_last


@pytest.mark.parametrize(
    ("about", "old_finds"),
    [
        (Affected(reconnects={"7"}), {"reconnects": ["7"]}),
        (Affected(sessions={"7"}), {"reconnects": ["7"]}),
        (Affected(channels={"doc:1"}), {"channels": ["doc:1"]}),
        (Affected(everything=True), {"channels": ["$*", "doc:*", "user:*"]}),
    ],
)
def test_the_code_before_finds_in_a_row_what_it_has_to_do(registry, about, old_finds):
    from instant import Namespace

    type("Doc", (Namespace,), {"name": "doc", "pattern": "<int:pk>"})
    type("Open", (Namespace,), {"name": "lobby", "pattern": "<int:pk>", "authorize": "open"})
    stored = about.as_json()
    known = ("channels", "subscriptions", "reconnects", "disconnects", "permissions")
    assert {key: stored[key] for key in known if key in stored} == old_finds
    assert Affected.from_json(stored) == about
