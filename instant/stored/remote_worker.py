"""A worker on another machine, which needs no database: it claims requests over HTTP."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, Self

from django.contrib.auth.models import AnonymousUser
from django.utils import translation

from instant.inbound import dispatch
from instant.inbound.answers import Cancelled, Disconnect, Refused
from instant.inbound.call import Call
from instant.inbound.registry import Handler
from instant.inbound.tickets import contents
from instant.inbound.tickets.heart import BETWEEN
from instant.inbound.tickets.processes import Hopeless
from instant.stored.wake_up_listener import WakeUpListener

__all__ = ["Forbidden", "RemoteWorker"]

logger = logging.getLogger("instant.tickets")

_PAUSE = 0.5
"""Seconds between two tries to answer."""

_AWAY = 2.0
"""Seconds until a site that is away is asked again."""

_TIMEOUT = 20.0
"""Seconds for an answer of the site."""

_REFUSED = {401, 403, 404, 405}


class Forbidden(Hopeless):
    """The site doesn't want this worker: its token is wrong or revoked, or the address is."""


class _Away(Exception):
    """The site can't be asked now."""


class _Site:
    """What a worker says to the site; used by one thread."""

    def __init__(self, url: str, token: str) -> None:
        from requests import Session  # noqa: PLC0415  only this worker needs it

        self._url = url.rstrip("/")
        self._session = Session()
        self._session.headers["Authorization"] = f"Bearer {token}"

    def post(self, action: str, body: str = "{}") -> Mapping[str, Any]:
        """Return the answer. Raises _Away, Forbidden, and ValueError for what was refused (400)."""
        from requests import RequestException  # noqa: PLC0415  as above

        try:
            answer = self._session.post(
                f"{self._url}/worker/{action}/",
                data=body.encode(),
                headers={"Content-Type": "application/json"},
                timeout=_TIMEOUT,
                allow_redirects=False,  # a token is for this address
            )
        except RequestException as exc:
            raise _Away(str(exc)) from None
        if answer.status_code in _REFUSED:
            raise Forbidden(f"{self._url} refuses: {answer.status_code} {answer.text[:200]}")
        if answer.status_code in {400, 413}:
            raise ValueError(answer.text[:500])
        if answer.status_code != 200:  # noqa: PLR2004  any other can't be used
            raise _Away(f"it answered {answer.status_code}")
        try:
            found = answer.json()
        except ValueError:
            raise _Away("what it answered is no JSON") from None
        return found if isinstance(found, dict) else {}

    def close(self) -> None:
        self._session.close()


class _Heart:
    """The thread beside a request: renews its lease, hands on progress, notices a cancellation."""

    def __init__(self, url: str, token: str, claimed: Mapping[str, Any]) -> None:
        self._url, self._token = url, token
        self._lease = claimed["lease"]
        self._named = {"id": claimed["id"], "claim": claimed["claim"]}
        self._pending: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._called, self._stopped = threading.Event(), threading.Event()
        self._over = False
        self._thread = threading.Thread(target=self._run, name="instant-request", daemon=True)

    @property
    def last(self) -> dict[str, Any]:
        """What was told and isn't sent yet."""
        with self._lock:
            pending, self._pending = self._pending, {}
        return pending

    def tell(self, done: Any, message: str) -> None:
        """Have whoever asked told how far it is, soon; raises as check() does."""
        contents.progress(done, message)  # ValueError for what is no progress
        with self._lock:
            self._pending = {"progress": done, "message": message}
        self._called.set()
        self.check()

    def check(self) -> None:
        """Raise Cancelled where nobody waits for it any more, or another worker has it."""
        if self._over:
            raise Cancelled

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._called.set()
        self._thread.join()

    def _run(self) -> None:
        site = _Site(self._url, self._token)
        try:
            while not self._stopped.is_set() and not self._over:
                self._called.wait(min(2.0, self._lease / 4))
                self._called.clear()
                if self._stopped.is_set():
                    return
                self._over = not self._beat(site)
                self._stopped.wait(BETWEEN)
        except Exception:
            logger.exception("Nobody renews the lease of request %s.", self._named["id"])
        finally:
            site.close()

    def _beat(self, site: _Site) -> bool:
        try:
            answer = site.post("beat", contents.encoded(self._named | self.last))
        except (_Away, Forbidden, ValueError) as exc:
            logger.warning("Request %s: %s", self._named["id"], exc)
            return not isinstance(exc, Forbidden)
        return bool(answer.get("is_yours"))


class RemoteWorker:
    """Claims requests to a responder at a site, and answers them one at a time."""

    def __init__(
        self, handler: Handler, url: str, token: str, parent: int = 0, *, most: int | None = None
    ) -> None:
        self._handler, self._url, self._token, self._most = handler, url, token, most
        self._parent = parent
        """The process that has forked us, and without which we work no longer; 0 for none."""
        self._stopped = threading.Event()
        self._wake_up = WakeUpListener(self._how_to_listen)
        self._complained = False
        self.ran = 0
        """How many requests it has answered."""

    def stop(self) -> None:
        """Claim no other request; for a signal's handler."""
        self._stopped.set()
        self._wake_up.wake()

    def run(self) -> None:
        """Work until stop(). Raises Forbidden where the site doesn't want this worker."""
        site = _Site(self._url, self._token)
        self._wake_up.start()
        try:
            while not self._stopped.is_set() and self._parent in {0, os.getppid()}:
                self._turn(site)
        finally:
            self._wake_up.stop()
            site.close()

    def _how_to_listen(self) -> Mapping[str, Any]:
        """Ask the site, in the thread that listens."""
        site = _Site(self._url, self._token)
        try:
            return site.post("listen")
        finally:
            site.close()

    def _turn(self, site: _Site) -> None:
        """Answer one request, or wait until there may be one."""
        try:
            claimed = site.post("claim").get("request")
        except (_Away, ValueError) as exc:
            if not self._complained:
                logger.error("Requests can't be claimed: %s", exc)  # noqa: TRY400
            self._complained = True
            self._wake_up.wait(_AWAY)
            return
        self._complained = False
        if claimed is None:
            self._wake_up.wait()
            return
        self._answer(site, claimed)
        self.ran += 1
        if self._most is not None and self.ran >= self._most:
            self.stop()

    def _answer(self, site: _Site, claimed: Mapping[str, Any]) -> None:
        named = {"id": claimed["id"], "claim": claimed["claim"]}
        try:
            with _Heart(self._url, self._token, claimed) as heart:
                ended = self._ended(claimed, heart)
                last = heart.last
        except Cancelled:
            logger.info("Request %s was cancelled, or is another worker's by now.", claimed["id"])
            return
        except BaseException:
            site.post("give_back", contents.encoded(named))
            raise
        if last:
            self._send(site, "beat", named | last, claimed)
        self._send(site, "answer", named | ended, claimed)

    def _ended(self, claimed: Mapping[str, Any], heart: _Heart) -> dict[str, Any]:
        """Call the function; return how it has ended."""
        user = claimed["user"]
        call = Call(
            # All that is known of them here.
            user=SimpleNamespace(pk=user, is_authenticated=True) if user else AnonymousUser(),
            method=self._handler.name,
            data=claimed["data"],
            transport="http",
            _job=heart,
        )
        try:
            with translation.override(claimed["language"] or None):
                result = dispatch.resume(self._handler, call, asks=False)
                contents.encoded(result)
        except Cancelled:
            raise
        except Refused as exc:
            return {"error": {"code": exc.code, "message": exc.message}}
        except Disconnect as exc:
            return {"error": {"code": 403, "message": exc.reason or "permission denied"}}
        except Exception:
            logger.exception("Request %s (%s) failed.", claimed["id"], self._handler.name)
            return {"error": {"code": 500, "message": "internal error"}}
        return {"result": result}

    def _send(
        self, site: _Site, action: str, body: Mapping[str, Any], claimed: Mapping[str, Any]
    ) -> None:
        """Say it; a site that is away is asked again while the lease lasts."""
        until = time.monotonic() + claimed["lease"] / 2
        while True:
            try:
                site.post(action, contents.encoded(body))
            except _Away as exc:
                if time.monotonic() >= until:
                    logger.error("Request %s can't be answered: %s", claimed["id"], exc)  # noqa: TRY400
                    return
                time.sleep(_PAUSE)
            except ValueError as exc:
                logger.error("Request %s can't be answered: %s", claimed["id"], exc)  # noqa: TRY400
                return
            else:
                return
