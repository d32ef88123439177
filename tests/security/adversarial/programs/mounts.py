"""Mounts, by the old and the new calls."""

from attempt import BAD_POINTER, attempt_call, report

attempt_call("mount", b"none", b"/tmp", b"tmpfs", 0, 0)
attempt_call("mount", BAD_POINTER, BAD_POINTER, BAD_POINTER, 0, 0, label="mount nothing")
attempt_call("mount", b"/", b"/tmp", 0, 0x1000, 0, label="bind")
attempt_call("mount", 0, b"/", 0, 0x20 | 0x1000, 0, label="remount writable")
attempt_call("umount2", b"/proc/keys", 2)
attempt_call("fsopen", b"tmpfs", 0)
attempt_call("fsconfig", -1, 6, 0, 0, 0)
attempt_call("fsmount", -1, 0, 0)
attempt_call("fspick", -100, b"/", 0)
attempt_call("open_tree", -100, b"/", 1)
attempt_call("move_mount", -1, b"", -100, b"/tmp", 4)
attempt_call("mount_setattr", -100, b"/", 0, BAD_POINTER, 32)
attempt_call("quotactl", 0, BAD_POINTER, 0, 0)
report()
