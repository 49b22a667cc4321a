from instant.embedded.config.load import parse


def test_a_namespace_has_its_own_clocks():
    fast = {"name": "fast", "history_size": 3, "history_ttl": "5s", "history_meta_ttl": "1h"}
    names = parse({"channel": {"namespaces": [{"name": "chat"}, fast]}}, {}).names
    found = names.options("fast:1")
    assert (found.history_size, found.history_ttl, found.history_meta_ttl) == (3, 5, 3600)
    assert names.options("chat:1").history_meta_ttl == 720 * 3600
