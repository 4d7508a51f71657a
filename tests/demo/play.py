#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Directs the demonstration: four scenes of a process tree under `memtree run`, each shown
live and then compared, to the byte, with what the processes themselves say they touched.

usage: play.py MEMTREE STAGE [WINDOW]

MEMTREE is the binary, STAGE an empty folder for the pipes, WINDOW the exemption of
inherited memory (memtree's own default, 3s, when absent). Exits 0 when everything agrees.

The processes are actors (workload.py): one order, one answer, then rest. Both sides are
read at rest and only differences between two such points are compared, so that the Python
interpreter's own memory cancels out. What a fork copies of it is known from a control
fork, made just before without the memory in question. Nothing is tolerated.
"""
import json
import os
import re
import select
import signal
import subprocess
import sys
import time

MIB = 1 << 20
DEADLINE_S = 120  # of any single step; an emulated machine is slow
HERE = os.path.dirname(os.path.abspath(__file__))


class Trouble(Exception):
    """The demonstration cannot go on."""


def size_text(size):
    return "%.1f MiB" % (size / MIB)


def until(condition, what):
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise Trouble("waited %d s in vain for %s" % (DEADLINE_S, what))


class Memtree:
    """The program under demonstration, as an operator calls it."""

    def __init__(self, binary):
        self.binary = binary

    def call(self, *arguments):
        sys.stdout.flush()
        return subprocess.run([self.binary, *arguments], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, encoding="utf-8", errors="replace")

    def trees(self):
        result = self.call("ps", "--json")
        if result.returncode == 3:
            return []
        if result.returncode:
            raise Trouble("memtree ps: exit status %d: %s" %
                          (result.returncode, result.stderr.strip()))
        return json.loads(result.stdout)["trees"]

    def document(self, name):
        result = self.call("tree", "--json", name)
        if result.returncode:
            raise Trouble("memtree tree: exit status %d: %s" %
                          (result.returncode, result.stderr.strip()))
        return json.loads(result.stdout)["trees"][0]


class Stage:
    """The pipes to and from the actors, and `memtree run` around them."""

    def __init__(self, memtree, folder, name, window):
        self.folder = folder
        self.pids = set()
        self.orders = {}
        self.unread = b""
        self.heard = []
        self.said = self.pipe("said")
        log = os.path.join(folder, "log")
        written = open(log, "w", encoding="utf-8")
        self.log = open(log, encoding="utf-8", errors="replace")
        self.add("root")
        command = [memtree.binary, "run", "-v", "-n", name] + (["-w", window] if window else [])
        command += ["--", "python3", "workload.py", "root"]
        environment = dict(os.environ, MEMTREE_DEMO_STAGE=folder, PYTHONDONTWRITEBYTECODE="1",
                           PATH=os.path.dirname(sys.executable) + ":" + os.environ["PATH"])
        self.run = subprocess.Popen(command, cwd=HERE, env=environment, stdin=subprocess.DEVNULL,
                                    stderr=written)
        written.close()
        print("$ " + " ".join(["memtree"] + command[1:]), flush=True)

    def pipe(self, name):
        path = os.path.join(self.folder, name)
        os.mkfifo(path, 0o600)
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def add(self, name):
        self.orders[name] = self.pipe(name)

    def listen(self):
        readable, _, _ = select.select([self.said], [], [], 0.1)
        if readable:
            self.unread += os.read(self.said, 65536)
        *lines, self.unread = self.unread.split(b"\n")
        for line in lines:
            answer = json.loads(line)
            self.pids.add(answer["pid"])
            if answer["started"]:
                self.pids.add(answer["started"])
            self.heard.append(answer)

    def answer(self, actor):
        """What `actor` says next; what others say meanwhile is kept."""
        def next_of_actor():
            if self.run.poll() is not None:
                self.relay()
                raise Trouble("memtree run ended early with status %d" % self.run.returncode)
            self.listen()
            for answer in self.heard:
                if answer["actor"] == actor:
                    self.heard.remove(answer)
                    return answer
            return None
        return until(next_of_actor, "an answer from " + actor)

    def order(self, actor, *words):
        """Figures in fixed width: a rehearsal must allocate as the play does."""
        words = ["%012d" % word if isinstance(word, int) else word for word in words]
        os.write(self.orders[actor], (" ".join(words) + "\n").encode())
        return self.answer(actor)

    def start(self, actor, how, name):
        """Orders a new actor; returns its first words."""
        self.add(name)
        self.order(actor, how, name)
        return self.answer(name)

    def rehearse(self, actor):
        """Lets the interpreter take what it needs for the orders to come."""
        for _ in range(3):
            self.order(actor, "touch", 64 * 4096)
            self.order(actor, "write", 16 * 4096)
            self.order(actor, "drop")

    def abandon(self, memtree, name):
        """Ends what is left of the tree; nothing to do after a whole play."""
        while self.run.poll() is None:
            for process in memtree.document(name)["processes"]:
                if not process["zombie"]:
                    os.kill(process["pid"], signal.SIGKILL)
            time.sleep(0.05)

    def relay(self):
        """Shows what memtree run said since the last time; returns it."""
        text = self.log.read()
        print(text, end="")
        return text


class View:
    """The tree at one point of rest, by pid."""

    def __init__(self, tree):
        self.tree = tree
        self.by_pid = {process["pid"]: process for process in tree["processes"]}

    def at_rest(self):
        return all(process["zombie"] or process["state"] == "S"
                   for process in self.by_pid.values())

    def of(self, pid, kind):
        if pid not in self.by_pid:
            raise Trouble("memtree does not show process %d" % pid)
        return self.by_pid[pid][kind]


class Play:
    def __init__(self, memtree, name, stage):
        self.memtree = memtree
        self.name = name
        self.stage = stage
        self.rows = []
        self.facts = []
        self.kernel_readings = self.kernel_differences = 0
        self.charged_most = 0
        self.fork_costs = None

    # --- looking and telling ---

    def look(self):
        def view():
            candidate = View(self.memtree.document(self.name))
            return candidate if candidate.at_rest() else None
        found = until(view, "the processes to rest")
        self.check_kernel(found)
        self.charged_most = max(self.charged_most, found.tree["charged"])
        return found

    def check_kernel(self, view):
        """At rest memtree and the kernel's walk over the page tables must say the same."""
        view.walked_rss = 0
        for pid, process in view.by_pid.items():
            if process["zombie"]:
                continue
            walked = {}
            with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as lines:
                for line in lines:
                    words = line.split()
                    if words[-1] == "kB":
                        walked[words[0]] = int(words[1]) * 1024
            view.walked_rss += walked["Rss:"]
            for kind, field in (("rss", "Rss:"), ("anon", "Anonymous:")):
                self.kernel_readings += 1
                if process[kind] != walked[field]:
                    self.kernel_differences += 1
                    print("! %s of %d: memtree %d, smaps_rollup %d" %
                          (kind, pid, process[kind], walked[field]))

    def show(self, scene, text):
        print("\n--- (%s) %s" % (scene, text))
        print("$ memtree tree " + self.name)
        result = self.memtree.call("tree", self.name)
        print(result.stdout + result.stderr, end="", flush=True)

    def compare(self, scene, pid, what, told, shown):
        self.rows.append((scene, pid, what, told, shown))

    def state(self, text, holds):
        self.facts.append((text, bool(holds)))

    # --- steps that scenes share ---

    def touch(self, scene, actor, pid, mib):
        """Between two looks `actor` writes a new mapping and nothing else."""
        self.stage.rehearse(actor)
        before = self.look()
        answer = self.stage.order(actor, "touch", mib * MIB)
        after = self.look()
        self.compare(scene, pid, "%s: wrote %d MiB: anon" % (actor, mib), answer["bytes"],
                     after.of(pid, "anon") - before.of(pid, "anon"))
        return after

    def fork(self, actor, name):
        """Returns the child's pid, the bytes that it has of the parent's mapping and what
        memtree shows as inherited."""
        before = self.look()
        child = self.stage.start(actor, "fork", name)
        after = self.look()
        inherited = after.of(child["pid"], "inherited")
        self.fork_costs = (after.walked_rss - before.walked_rss, inherited,
                           after.tree["charged"] - before.tree["charged"])
        return child["pid"], child["bytes"], inherited

    def state_fork(self, scene):
        """What the kernel counts for both, less what is inherited, is what may be charged."""
        walked, inherited, charged = self.fork_costs
        self.state("(%s) the fork brought %s by smaps_rollup, %s of it inherited: charged %s" %
                   (scene, size_text(walked), size_text(inherited), size_text(charged)),
                   charged == walked - inherited)

    def fork_control(self, actor):
        """The same fork without the mapping, twice, as the first one still warms up."""
        for attempt in range(2):
            _, _, inherited = self.fork(actor, "%s-control-%d" % (actor, attempt))
            self.stage.order(actor, "end")
        return inherited

    # --- the scenes ---

    def scene_children(self):
        left = self.stage.start("root", "spawn", "left")["pid"]
        right = self.stage.start("root", "spawn", "right")["pid"]
        begin = self.look()
        self.touch("a", "left", left, 64)
        end = self.touch("a", "right", right, 32)
        self.compare("a", begin.tree["root_pid"], "root: touched nothing: anon", 0,
                     end.of(end.tree["root_pid"], "anon") -
                     begin.of(end.tree["root_pid"], "anon"))
        self.show("a", "Two children wrote 64 MiB and 32 MiB of anonymous memory.")
        self.stage.order("root", "end")

    def scene_copy_on_write(self):
        parent = self.stage.start("root", "spawn", "cow")["pid"]
        self.stage.rehearse("cow")
        inherited_control = self.fork_control("cow")
        self.touch("b", "cow", parent, 100)

        child, copied, inherited = self.fork("cow", "copy")
        self.compare("b", child, "child of cow: inherited at fork", copied,
                     inherited - inherited_control)
        self.state_fork("b")
        before = self.look()
        self.stage.order("copy", "write", 40 * MIB)
        wrote = self.look()
        self.compare("b", child, "child: wrote 40 of these MiB: anon", 0,
                     wrote.of(child, "anon") - before.of(child, "anon"))
        self.show("b", "A process holding 100 MiB forked; the child wrote to 40 MiB of it: "
                       "window open.")
        self.copy_is_charged(child, copied, inherited_control, wrote)

    def copy_is_charged(self, child, copied, inherited_control, opened):
        print("\nwaiting for the window to close ...", flush=True)
        until(lambda: not View(self.memtree.document(self.name)).of(child, "inherited"),
              "the window to close")
        closed = self.look()
        self.compare("b", child, "window closed: inherited", 0, closed.of(child, "inherited"))
        self.compare("b", None, "window closed: charged, tree", copied,
                     closed.tree["charged"] - opened.tree["charged"] - inherited_control)
        self.show("b", "The same a window later: nothing is inherited any more, the child is "
                       "charged in full.")
        answer = self.stage.order("copy", "drop")
        dropped = self.look()
        self.compare("b", child, "child: unmapped it: anon", -answer["bytes"],
                     dropped.of(child, "anon") - closed.of(child, "anon"))
        self.compare("b", None, "child: unmapped it: charged, tree", -answer["bytes"],
                     dropped.tree["charged"] - closed.tree["charged"])
        self.stage.order("cow", "end")
        self.stage.order("root", "end")

    def scene_exec_spike(self):
        parent = self.stage.start("root", "spawn", "exec")["pid"]
        self.stage.rehearse("exec")
        inherited_control = self.fork_control("exec")
        held = self.touch("c", "exec", parent, 150)
        child, copied, inherited = self.fork("exec", "spike")
        self.compare("c", child, "child of exec: inherited at fork", copied,
                     inherited - inherited_control)
        self.state_fork("c")
        self.show("c", "A process holding 150 MiB forked, as any shell does before it execs.")
        time.sleep(0.5)
        self.stage.order("spike", "exec", "sleep", "60")
        until(lambda: View(self.memtree.document(self.name)).of(child, "comm") == "sleep",
              "the exec")
        after = self.look()
        self.compare("c", child, "sleep: inherited after exec", 0, after.of(child, "inherited"))
        self.show("c", "The child has become sleep: the copy is gone and was never charged.")
        doubled = held.tree["charged"] + copied
        self.state("(c) the exec spike was never charged: peak %s, below the %s of a double "
                   "count" % (size_text(after.tree["peak"]), size_text(doubled)),
                   after.tree["peak"] < doubled)
        self.stage.order("exec", "end")
        self.stage.order("root", "end")

    def scene_orphan(self):
        orphan = self.stage.start("root", "daemon", "orphan")["pid"]
        after = self.touch("d", "orphan", orphan, 16)
        self.state("(d) the daemon's parent is gone (now %d) and it is still a member, marked "
                   "orphan" % after.of(orphan, "ppid"),
                   after.of(orphan, "orphan") and
                   after.of(orphan, "ppid") not in after.by_pid)
        self.show("d", "A daemon (double fork, setsid) wrote 16 MiB; the parent between is gone.")
        self.stage.order("root", "quit")
        until(lambda: self.memtree.document(self.name)["processes"][0]["pid"] == orphan and
              len(self.memtree.document(self.name)["processes"]) == 1, "the root's end")
        alone = self.look()
        self.compare("d", None, "root ended: anon of the whole tree",
                     after.of(orphan, "anon"), alone.tree["anon"])
        self.state_peak(alone.tree)
        self.show("d", "The root has ended too; the tree lives on with the orphan in it.")
        self.stage.relay()
        self.stage.order("orphan", "quit")

    def state_peak(self, tree):
        """The peak follows the live count, whose bound memtree tells."""
        behind = self.charged_most - tree["peak"]
        bound = tree["live"]["error_bound"]
        self.state("the peak %s is the highest charge shown, %s (%s bytes short, stated bound %s)" %
                   (size_text(tree["peak"]), size_text(self.charged_most),
                    format(max(behind, 0), ","), format(bound, ",")), behind <= bound)

    def the_end(self):
        status = until(lambda: [self.stage.run.poll()] if self.stage.run.poll() is not None
                       else None, "the end of memtree run")[0]
        print("\n--- The last process has ended.")
        said = self.stage.relay()
        self.state("memtree run returned the command's own status, %d" % status, status == 0)
        self.ending(said)
        result = self.memtree.call("ps")
        print("$ memtree ps\n" + (result.stdout + result.stderr).strip())
        if any(tree["name"] == self.name for tree in self.memtree.trees()):
            self.state("memtree ps still shows the tree", False)
        elif result.returncode == 3:
            self.state("memtree ps finds no tracker (exit status 3): nothing is left", True)
        else:
            self.state("memtree ps no longer shows the tree; another tracker runs here", True)

    def ending(self, said):
        found = re.search(r"; processes (\d+), bytes left (-?\d+)", said)
        if not found:
            raise Trouble("memtree run -v told no summary at the end")
        self.compare("end", None, "processes seen, from first to last", len(self.stage.pids),
                     int(found.group(1)))
        self.compare("end", None, "bytes left at the end", 0, int(found.group(2)))

    def play(self):
        self.scene_children()
        self.scene_copy_on_write()
        self.scene_exec_spike()
        self.scene_orphan()
        self.the_end()

    def summary(self):
        """The table; returns whether all agrees."""
        line = "%-4s %7s  %-38s %14s %14s %11s  %s"
        print("\n" + line % ("", "PID", "WHAT", "WORKLOAD", "MEMTREE", "DIFFERENCE", ""))
        good = bool(self.rows)
        for scene, pid, what, told, shown in self.rows:
            good = good and told == shown
            print(line % ("(%s)" % scene if len(scene) == 1 else scene, pid or "", what,
                          format(told, ","), format(shown, ","), format(shown - told, ","),
                          "agrees" if told == shown else "DIFFERS"))
        self.state("every rss and anon at rest equals the kernel's own walk (smaps_rollup): "
                   "%d of %d" % (self.kernel_readings - self.kernel_differences,
                                 self.kernel_readings),
                   self.kernel_readings and not self.kernel_differences)
        print()
        for text, holds in self.facts:
            good = good and holds
            print("%-7s  %s" % ("holds" if holds else "DIFFERS", text))
        return good


def perform(memtree, name, folder, window):
    """The whole play; returns whether all agrees."""
    stage = Stage(memtree, folder, name, window)
    play = Play(memtree, name, stage)
    try:
        stage.answer("root")
        play.play()
    finally:
        stage.abandon(memtree, name)
    return play.summary()


def main():
    memtree = Memtree(os.path.abspath(sys.argv[1]))
    folder = os.path.abspath(sys.argv[2])
    window = sys.argv[3] if len(sys.argv) > 3 else None
    name = "demo"
    began = time.monotonic()
    os.makedirs(folder, exist_ok=True)
    try:
        if any(tree["name"] == name for tree in memtree.trees()):
            name = "demo-%d" % os.getpid()
        good = perform(memtree, name, folder, window)
    except (Trouble, KeyboardInterrupt) as trouble:
        print("demo: " + (str(trouble) or "interrupted"), file=sys.stderr)
        return 1
    print("\n%s (%.0f s)" % ("memtree and the processes agree to the byte." if good else
                            "memtree and the processes DIFFER, see above.",
                            time.monotonic() - began))
    return 0 if good else 1


sys.exit(main())
