# SPDX-License-Identifier: GPL-2.0-only
#
# memtree. `make run` shows it, `make test` tests it, `make help` lists the rest.
# Everything built lies under .output/.

VERSION := 0.1.0

CC ?= cc
CLANG ?= clang
LLVM_STRIP ?= llvm-strip
BPFTOOL ?= $(or $(shell command -v bpftool),/usr/sbin/bpftool)
PKG_CONFIG ?= pkg-config
CLANG_FORMAT ?= clang-format
PREFIX ?= /usr/local
DESTDIR ?=

OUT := .output
ARCH := $(shell uname -m | sed 's/x86_64/x86/; s/aarch64/arm64/')
MULTIARCH := $(shell uname -m)-linux-gnu

ifeq ($(V),1)
  Q :=
  say = @:
else
  Q := @
  say = @printf '  %-8s %s\n' $(1) $(2)
endif

WARNINGS := -Wall -Wextra -Wshadow -Wvla -Wpointer-arith -Wundef -Wno-unused-parameter
C_WARNINGS := $(WARNINGS) -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
	-Wformat=2 -Wwrite-strings
ifdef CI
  WERROR := -Werror
endif

LIBRARIES := libbpf libevent_core jansson libcyaml yaml-0.1
CPPFLAGS += -D_GNU_SOURCE -DMEMTREE_VERSION='"$(VERSION)"' -Iinclude -iquote user -I$(OUT)
CFLAGS ?= -O2 -g
# int64_t and the __s64 that both halves share are one type to us, but two to the compiler.
ALL_CFLAGS = -std=gnu11 -fno-strict-aliasing $(C_WARNINGS) $(WERROR) $(shell $(PKG_CONFIG) --cflags $(LIBRARIES)) \
	$(CFLAGS)
LDLIBS = $(shell $(PKG_CONFIG) --libs $(LIBRARIES)) -lm
# libelf of newer Debian wants zstd, which only the private list names.
STATIC_LDLIBS = -static $(shell $(PKG_CONFIG) --static --libs $(LIBRARIES)) -lm

BPF_CFLAGS := -g -O2 -target bpf -mcpu=v2 -D__TARGET_ARCH_$(ARCH) -I. -Iinclude \
	-I/usr/include/$(MULTIARCH) $(WARNINGS) $(WERROR)

BPF_SOURCES := maps counters calibration places threads trees stories spaces memory census \
	lifecycle snapshot
# What the unit tests link: pure rooms (no kernel, no clock), and those that read files and whose
# folders are parameters.
PURE_SOURCES := units policy alarms blast escape procfs yarn cgroup model family reason comparison pass kernel \
	features health cgroupfs scope row quoted runtimes verdict journal wire refusal choice limit shape config store notify
USER_SOURCES := $(PURE_SOURCES) talk options tracker registry census loader snapshot look node json \
	launch request adoption follow summary forget killing record client listener serve report errand \
	hook pss asking ward jobs control guard pins carry daemon dial told run add set rm kill ps tree beside shadow contrast compare aside members \
	explanation explain events why probe vitals diagnosis doctor

BPF_OBJECTS := $(BPF_SOURCES:%=$(OUT)/bpf/%.bpf.o)
USER_OBJECTS := $(USER_SOURCES:%=$(OUT)/user/%.o)
SKELETON := $(OUT)/memtree.skel.h

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all static run test suite check unit format layers headers manual deploy fuzz-wire fuzz-config \
	live matrix soak packages install bench uninstall clean help vmlinux-check
all: $(OUT)/memtree

help:
	@echo 'make run          build and show memtree on a live process tree (as root)'
	@echo 'make test         unit tests, live tests, and the live tests on four kernels'
	@echo 'make check        format, layers, headers, manual, installation, unit tests'
	@echo 'make live         the live tests on this kernel (as root)'
	@echo 'make soak         the daemon killed a hundred times, a minute of garbage for each parser'
	@echo 'make matrix       the live tests on 5.10, 6.1, 6.12 and the newest, in QEMU'
	@echo 'make fuzz-wire    garbage for the socket, for FUZZ_SECONDS (10)'
	@echo 'make fuzz-config  hostile configurations, for FUZZ_SECONDS (10)'
	@echo 'make bench        what it costs, as ratios (as root, on a quiet machine)'
	@echo 'make static       one statically linked binary: $(OUT)/memtree-static'
	@echo 'make vmlinux-check  are the types of vmlinux.h those of this kernel?'
	@echo 'make install      to $$DESTDIR$$PREFIX (/usr/local), the configuration to $$DESTDIR/etc'

# --- build ----------------------------------------------------------------------------

$(OUT)/bpf/%.bpf.o: bpf/%.bpf.c
	$(call say,CLANG-BPF,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -c $< -o $@
	$(Q)$(LLVM_STRIP) -g $@

$(OUT)/memtree.bpf.o: $(BPF_OBJECTS)
	$(call say,BPF-LINK,$@)
	$(Q)$(BPFTOOL) gen object $@ $^

$(SKELETON): $(OUT)/memtree.bpf.o
	$(call say,SKELETON,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name memtree_bpf > $@

$(OUT)/user/%.o: user/%.c
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

$(OUT)/user/loader.o $(OUT)/asan/loader.o: $(SKELETON)

$(OUT)/memtree: $(USER_OBJECTS) $(OUT)/user/main.o
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $^ $(LDLIBS) -o $@

static: $(OUT)/memtree-static
# Without the linker's warnings: libevent names getaddrinfo(), which memtree never calls.
$(OUT)/memtree-static: $(USER_OBJECTS) $(OUT)/user/main.o $(OUT)/user/static.o
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -Wl,--no-warnings $^ $(STATIC_LDLIBS) -o $@

# --- run ------------------------------------------------------------------------------

run: packages
	$(Q)$(MAKE) --no-print-directory $(OUT)/memtree
	$(Q)tests/demo/show $(OUT)/memtree

# Names what is missing of Debian's packages and installs it (as root).
packages:
	$(Q)tests/check/packages

BINDIR = $(PREFIX)/bin
MANDIR = $(PREFIX)/share/man
DOCDIR = $(PREFIX)/share/doc/memtree
# Where systemd looks for /usr as for /usr/local.
UNITDIR = $(PREFIX)/lib/systemd/system
# The binary reads it there, whatever the prefix.
CONFDIR := /etc/memtree

# A configuration that is there stays as it is; the example lies beside the documentation, too.
install: $(OUT)/memtree
	install -D -m 0755 $< $(DESTDIR)$(BINDIR)/memtree
	install -d $(DESTDIR)$(UNITDIR)
	sed 's,^ExecStart=/usr/local/bin/,ExecStart=$(BINDIR)/,' deploy/memtree.service \
		> $(DESTDIR)$(UNITDIR)/memtree.service
	chmod 0644 $(DESTDIR)$(UNITDIR)/memtree.service
	install -D -m 0644 docs/man/memtree.1 $(DESTDIR)$(MANDIR)/man1/memtree.1
	install -D -m 0644 docs/man/memtree.conf.5 $(DESTDIR)$(MANDIR)/man5/memtree.conf.5
	install -D -m 0644 deploy/memtree.conf $(DESTDIR)$(DOCDIR)/memtree.conf
	install -d -m 0755 $(DESTDIR)$(CONFDIR)/memtree.conf.d
	[ -e $(DESTDIR)$(CONFDIR)/memtree.conf ] || [ -L $(DESTDIR)$(CONFDIR)/memtree.conf ] || \
		install -m 0644 deploy/memtree.conf $(DESTDIR)$(CONFDIR)/memtree.conf

# A configuration that somebody changed stays, and so do the verdicts.
uninstall:
	rm -f $(DESTDIR)$(BINDIR)/memtree $(DESTDIR)$(UNITDIR)/memtree.service \
		$(DESTDIR)$(MANDIR)/man1/memtree.1 $(DESTDIR)$(MANDIR)/man5/memtree.conf.5
	! cmp -s $(DESTDIR)$(DOCDIR)/memtree.conf $(DESTDIR)$(CONFDIR)/memtree.conf || \
		rm -f $(DESTDIR)$(CONFDIR)/memtree.conf
	rm -f $(DESTDIR)$(DOCDIR)/memtree.conf
	rmdir $(DESTDIR)$(DOCDIR) $(DESTDIR)$(CONFDIR)/memtree.conf.d $(DESTDIR)$(CONFDIR) \
		2>/dev/null || true

# --- tests ----------------------------------------------------------------------------

UNIT_TESTS := units escape charge policy policy_confirm policy_clock policy_walk blast cgroup model model_memory \
	model_figures family kernel \
	features health procfs procfs_text yarn yarn_decision pass comparison comparison_missed \
	comparison_random cgroupfs scope quoted journal wire choice limit config store notify
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
LIVE_SOURCES := main scene smaps fixture reading shell stage memory fork lifecycle figures cgroups adopt \
	losses races manage opens commands commands_alone said compare compare_ends \
	escapes box table explain boxed eater hog limits limits_spikes limits_alone killing monitor \
	events readers host protocol protocol_clients confirm hooks service daemon daemon_kills daemon_upgrade doctor one

# Everything, counted: ends with "N passed, N failed, N skipped".
test: packages
	$(Q)$(MAKE) --no-print-directory all static
	$(Q)tests/check/count $(MAKE) --no-print-directory suite

# An emulated machine keeps one CPU busy: two at a time.
suite:
	$(Q)failed=0; $(MAKE) --no-print-directory -k check fuzz-wire fuzz-config live || failed=1; \
	$(MAKE) --no-print-directory -k -j2 --output-sync=target matrix || failed=1; exit $$failed

check: unit format layers headers vmlinux-check manual deploy

format:
	$(Q)tests/check/format $(CLANG_FORMAT)

layers:
	$(Q)CC="$(CC)" tests/check/layers

headers:
	$(Q)CC="$(CC)" CLANG="$(CLANG)" tests/check/headers

vmlinux-check:
	$(Q)BPFTOOL="$(BPFTOOL)" tests/check/vmlinux

# What the program says of itself: its help, and the configuration that stands without a file.
$(OUT)/tests/check/defaults: tests/check/defaults.c $(PURE_SOURCES:%=$(OUT)/user/%.o)
	$(call say,CHECK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP $< $(PURE_SOURCES:%=$(OUT)/user/%.o) $(LDLIBS) -o $@

manual: $(OUT)/memtree $(OUT)/tests/check/defaults
	$(Q)tests/check/manual $^

deploy: $(OUT)/memtree
	$(Q)MAKE='$(MAKE)' tests/check/deploy $<

$(OUT)/asan/%.o: user/%.c
	$(call say,CC-ASAN,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(SANITIZE) -MMD -MP -c $< -o $@

$(OUT)/tests/unit/%: tests/unit/%.c $(PURE_SOURCES:%=$(OUT)/asan/%.o)
	$(call say,TEST,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -Werror=unused-function $(SANITIZE) -MMD -MP $< \
		$(PURE_SOURCES:%=$(OUT)/asan/%.o) $(LDLIBS) -lcmocka -o $@

unit: $(UNIT_TESTS:%=$(OUT)/tests/unit/%)
	$(Q)failed=0; for test in $^; do $$test || failed=1; done; exit $$failed

# What anybody may send or write, under the sanitizers; what it finds new is kept under .output/.
FUZZ_SECONDS ?= 10
FUZZ_SOURCES := wire limit refusal choice config shape units escape policy alarms
$(OUT)/fuzz/%: tests/fuzz/%.c $(FUZZ_SOURCES:%=user/%.c) $(wildcard user/*.h include/*.h)
	$(call say,FUZZ,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(CPPFLAGS) $(ALL_CFLAGS) -fsanitize=fuzzer,address,undefined \
		-fno-sanitize-recover=all $(filter %.c,$^) $(LDLIBS) -o $@

fuzz-wire fuzz-config: fuzz-%: $(OUT)/fuzz/%
	$(Q)tests/fuzz/run $< tests/fuzz/corpus/$* $(FUZZ_SECONDS)

$(OUT)/tests/live/%.o: tests/live/%.c
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -Werror=unused-function -MMD -MP -c $< -o $@

$(OUT)/memtree-live: $(LIVE_SOURCES:%=$(OUT)/tests/live/%.o) $(USER_OBJECTS)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $^ $(LDLIBS) -Wl,-z,now -lcmocka -lpthread -o $@

# The command under test is built with the sanitizers; the scenes are not, as these would
# touch memory of their own.
$(OUT)/memtree-asan: $(USER_SOURCES:%=$(OUT)/asan/%.o) $(OUT)/asan/main.o
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(SANITIZE) $(LDFLAGS) $^ $(LDLIBS) -o $@

# A build whose maps are laid out otherwise, as an older or a newer one's: for the test of an upgrade.
OTHER_LAYOUT := s/^.define MT_LAYOUT .*/\#define MT_LAYOUT 9999/; \
	s/^struct mt_\(registration\|settings\|policy\|totals\|process\) {/&\n\t__u64 other;/; \
	/^_Static_assert/{:a;/;$$/!{N;ba};d}
$(OUT)/memtree-other: $(OUT)/memtree-static
	$(call say,OTHER,$@)
	$(Q)rm -rf $(OUT)/other && mkdir -p $(OUT)/other
	$(Q)cp -r bpf user include vmlinux.h Makefile $(OUT)/other/
	$(Q)sed -i '$(OTHER_LAYOUT)' $(OUT)/other/include/maps.h
	$(Q)$(MAKE) --no-print-directory -C $(OUT)/other OUT=out static >/dev/null
	$(Q)mv $(OUT)/other/out/memtree-static $@ && rm -rf $(OUT)/other

live: $(OUT)/memtree-live $(OUT)/memtree-asan $(OUT)/memtree-other
	$(Q)MEMTREE=$(OUT)/memtree-asan MEMTREE_OTHER=$(OUT)/memtree-other $(OUT)/memtree-live

# What takes longer than a run of all tests may (as root).
soak: $(OUT)/memtree-live $(OUT)/memtree-asan
	$(Q)MEMTREE_KILLS=100 MEMTREE=$(OUT)/memtree-asan $(OUT)/memtree-live daemon_kills
	$(Q)$(MAKE) --no-print-directory FUZZ_SECONDS=60 fuzz-wire fuzz-config

KERNELS ?= 5.10 6.1 6.12 newest
matrix: $(KERNELS:%=matrix-%)
matrix-%: $(OUT)/memtree-live $(OUT)/memtree-static $(OUT)/memtree-other
	$(Q)tests/vm/live $*

# --- bench ----------------------------------------------------------------------------

BENCH_SOURCES := main figures root worker stand pairs faults spawn slots herd polling snapshot watch \
	board bursts shapes accuracy crossing

bench: $(OUT)/memtree-bench $(OUT)/memtree $(OUT)/memtree-static
	$(Q)OUT=$(OUT) tests/bench/bench

$(OUT)/tests/bench/%.bpf.o: tests/bench/%.bpf.c
	$(call say,CLANG-BPF,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -c $< -o $@
	$(Q)$(LLVM_STRIP) -g $@

$(OUT)/empty.skel.h: $(OUT)/tests/bench/empty.bpf.o
	$(call say,SKELETON,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name empty_bpf > $@

$(OUT)/tests/bench/stand.o: $(OUT)/empty.skel.h

$(OUT)/tests/bench/%.o: tests/bench/%.c
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

$(OUT)/memtree-bench: $(BENCH_SOURCES:%=$(OUT)/tests/bench/%.o) $(USER_OBJECTS)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $^ $(LDLIBS) -lpthread -o $@

-include $(wildcard $(OUT)/*.d $(OUT)/*/*.d $(OUT)/*/*/*.d)

clean:
	rm -rf $(OUT)
