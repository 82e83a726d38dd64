"""Names of the modules and attributes that only POSIX systems have."""

MODULES = {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "posix", "syslog", "crypt", "curses", "readline"}
ATTRIBUTES = {
    "os": {
        *("fork", "forkpty", "killpg", "getpgid", "setpgid", "getpgrp", "setpgrp", "setsid", "getsid", "nice"),
        *("getuid", "geteuid", "getgid", "setuid", "setgid", "chown", "fchown", "lchown", "chroot", "mkfifo", "mknod"),
        *(
            "sysconf",
            "statvfs",
            "fstatvfs",
            "pathconf",
            "uname",
            "getloadavg",
            "sched_getaffinity",
            "sched_setaffinity",
        ),
        *(
            "wait",
            "wait3",
            "wait4",
            "WNOHANG",
            "pipe2",
            "set_blocking",
            "openpty",
            "sync",
            "fdatasync",
            "posix_fadvise",
        ),
        *("O_NOFOLLOW", "O_DIRECTORY", "O_CLOEXEC", "O_NONBLOCK", "O_SYNC", "memfd_create", "pread", "pwrite", "lockf"),
        *("register_at_fork", "getpriority", "setpriority", "ctermid", "cpu_count_affinity", "tcgetpgrp", "mkfifoat"),
    },
    "signal": {
        *("SIGKILL", "SIGSTOP", "SIGCONT", "SIGHUP", "SIGCHLD", "SIGUSR1", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGQUIT"),
        *("alarm", "setitimer", "pause", "pthread_kill", "pthread_sigmask", "sigwait", "siginterrupt"),
    },
    "socket": {"AF_UNIX", "SO_REUSEPORT", "sendmsg", "recvmsg"},
    "select": {"poll", "epoll", "kqueue"},
    "time": {"tzset"},
}
