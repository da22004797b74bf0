"""Which metadata entries of a node are ours."""

from modelexport.hierarchy import keys


def test_shared_keys_are_ours_behind_our_tag_only() -> None:
    """Torch writes some of the same keys: these count as ours only if our tag comes first."""
    entries = [keys.NAMESPACE, "theirs", keys.COVERS, keys.TAG, keys.NAMESPACE, "theirs"]
    assert keys.are_ours(entries) == [False, False, True, True, True, False]
