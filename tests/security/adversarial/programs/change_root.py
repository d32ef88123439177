"""Changes its root, and opens files by handles from outside it."""

from attempt import BAD_POINTER, attempt_call, report

attempt_call("chroot", b"/tmp")
attempt_call("chroot", BAD_POINTER, label="chroot nothing")
attempt_call("pivot_root", b"/tmp", b"/tmp")
attempt_call("open_by_handle_at", 3, BAD_POINTER, 0)
attempt_call("name_to_handle_at", -100, b"/", BAD_POINTER, BAD_POINTER, 0)
attempt_call("fanotify_init", 0, 0)
report()
