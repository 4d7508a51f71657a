#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""One actor of the demonstration: does what it is ordered and tells exactly what it did.

usage: workload.py NAME    (with MEMTREE_DEMO_STAGE, the folder of the pipes, set)

Orders come one per line on the pipe STAGE/NAME; each is answered by one line of JSON on
STAGE/said: who, its pid, what it did, the bytes that it wrote, holds or gave back, and the
process that it started. Until the next order nothing happens: that is the quiescent point at which
memory is compared. An actor ends when the pipe closes, so nothing is left behind when the
director dies.

A forked actor goes on as this same program under its new name; a spawned one execs it.

Exactness: the mapping is written one byte per page, without huge pages, which would bring
neighbours along; the garbage collector is off, and orders and answers are of the same
length whatever their figures (the allocator has a page for each size), so that after a
rehearsal the interpreter takes no further page of its own.
"""
import ctypes
import gc
import mmap
import os
import signal
import sys

PAGE = mmap.PAGESIZE
PR_SET_THP_DISABLE = 41


class Actor:
    def __init__(self, stage, name):
        self.stage = stage
        self.said = os.open(stage + "/said", os.O_WRONLY)
        self.mapping = None
        self.held = 0
        self.children = []
        self.enter(name)

    def enter(self, name):
        self.name = name
        self.orders = os.open(self.stage + "/" + name, os.O_RDONLY)
        self.tell("enter", self.held)

    def tell(self, what, count=0, started=0):
        line = '{"actor": "%s", "pid": %d, "did": "%s", "bytes": %12d, "started": %12d}\n'
        os.write(self.said, (line % (self.name, os.getpid(), what, count, started)).encode())

    def write_pages(self, size):
        mapping, written = self.mapping, 0
        for offset in range(0, size, PAGE):
            mapping[offset] = 1
            written += PAGE
        return written

    def touch(self, size):
        """New anonymous memory, every page written."""
        self.held = int(size)
        self.mapping = mmap.mmap(-1, self.held, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        try:
            self.mapping.madvise(mmap.MADV_NOHUGEPAGE)
        except OSError:
            pass  # a kernel without huge pages
        self.tell("touch", self.write_pages(self.held))

    def write(self, size):
        """The first pages of the mapping once more: after a fork, each is copied now."""
        self.tell("write", self.write_pages(int(size)))

    def drop(self):
        self.mapping.close()
        self.mapping = None
        self.tell("drop", self.held)
        self.held = 0

    def become(self, name):
        """In a fresh child: the same program, memory and all, under a new name."""
        os.close(self.orders)
        self.children = []
        self.enter(name)

    def fork(self, name):
        pid = os.fork()
        if not pid:
            self.become(name)
            return
        self.children.append(pid)
        self.tell("fork", 0, pid)

    def spawn(self, name):
        pid = os.fork()
        if not pid:
            run_as(name)
        self.children.append(pid)
        self.tell("spawn", 0, pid)

    def daemon(self, name):
        """As daemons do it: a new session, and a parent that goes at once."""
        between = os.fork()
        if not between:
            os.setsid()
            if not os.fork():
                run_as(name)
            os._exit(0)
        os.waitpid(between, 0)
        self.tell("daemon", 0, between)

    def exec(self, *command):
        self.tell("exec")
        os.execvp(command[0], command)

    def end(self):
        """Ends and reaps every child."""
        while self.children:
            pid = self.children.pop()
            os.kill(pid, signal.SIGTERM)
            os.waitpid(pid, 0)
        self.tell("end")

    def quit(self):
        self.tell("quit")
        os._exit(0)

    def play(self):
        while True:
            order = os.read(self.orders, 128).decode().split()
            if not order:
                os._exit(1)
            getattr(self, order[0])(*order[1:])


def run_as(name):
    os.execv(sys.executable, ["python3", os.path.basename(__file__), name])


def main():
    gc.disable()
    # The interpreter's own memory: not rounded up by huge pages, nor collapsed into them later.
    ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)
    Actor(os.environ["MEMTREE_DEMO_STAGE"], sys.argv[1]).play()


main()
