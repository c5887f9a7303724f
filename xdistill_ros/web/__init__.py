"""What the operator's pages have in common: a small server, who gets in, sockets with limits. Imports no ROS.

`site` serves a page's files and its socket from a thread of its own; `session` knows who is paired and who has the
seat, `addresses` by which names this computer may be called, `certificate` makes what HTTPS needs, and `link` is one
page's socket. What a page may say and is shown belongs to the room whose page it is: `teleop/`, `dashboard/`.
"""
