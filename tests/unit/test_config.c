// SPDX-License-Identifier: MIT
// Configurations, right and wrong: every message names the file, the line and what was expected.
// link: config/config.c config/config_boot.c config/config_net.c config/config_disks.c config/document.c common/words.c common/util.c -lyaml
#include "tests/unit/test.h"

#include <fcntl.h>
#include <unistd.h>
#include <sys/stat.h>

#include "config/config_boot.h"
#include "common/words.h"

static char folder[] = "/tmp/test_config.XXXXXX";
static char path[64];

static void write_file(const char *name, const char *bytes, size_t n)
{
	char full[80];
	int fd;

	snprintf(full, sizeof(full), "%s/%s", folder, name);
	fd = open(full, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || write(fd, bytes, n) != (ssize_t)n)
		abort();
	close(fd);
}

__attribute__((constructor)) static void make_folder(void)
{
	static char big[3 << 20];

	if (!mkdtemp(folder))
		abort();
	snprintf(path, sizeof(path), "%s/c.yaml", folder);
	write_file("vmlinuz", "kernel", 6);
	write_file("initrd", "initrd!", 7);
	write_file("m1", "m", 1);
	write_file("big", big, sizeof(big));
	write_file("disk", big, 1024);
	snprintf(big, sizeof(big), "%s/sub", folder);
	if (mkdir(big, 0700) != 0)
		abort();
}

__attribute__((destructor)) static void remove_folder(void)
{
	static const char *const names[] = {
		"vmlinuz", "initrd", "m1", "big", "c.yaml", "sub", "disk", "link"};
	char full[80];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(full, sizeof(full), "%s/%s", folder, names[i]);
		remove(full);
	}
	rmdir(folder);
}

static bool load_bytes(const char *yaml, size_t n, struct config *out, char *error)
{
	write_file("c.yaml", yaml, n);
	return config_load(path, out, error);
}

// Loads a wrong configuration and compares the message behind "FILE:".
static void wrong_bytes(int at, const char *yaml, size_t n, const char *expected)
{
	static struct config config;
	char error[CONFIG_ERROR_MAX] = "", prefixed[CONFIG_ERROR_MAX];
	bool ok = load_bytes(yaml, n, &config, error);

	snprintf(prefixed, sizeof(prefixed), "%s:%s", path, expected);
	if (!ok && strcmp(error, prefixed) == 0)
		return;
	fprintf(stderr, "test_config.c:%d: %s\n\tis:       %s\n\texpected: %s\n", at,
		ok ? "was taken" : "another message", error, prefixed);
	test_failures++;
	if (ok)
		config_free(&config);
}

#define WRONG(yaml, expected) wrong_bytes(__LINE__, yaml, sizeof(yaml) - 1, expected)

// A VM whose fifth line, of a list of one, is under test.
#define VM(line)                                                                                   \
	"vms:\n  - name: web\n    memory: 16MiB\n    vcpus: 1\n    kernel: vmlinuz\n    " line "\n"
#define WRONG_VM(line, expected) WRONG(VM(line), expected)

TEST(everything)
{
	static struct config config;
	char error[CONFIG_ERROR_MAX] = "";
	const char yaml[] =
		"# comment\n"
		"vms:\n"
		"  - name: web\n"
		"    memory: 256MiB\n"
		"    vcpus: 2\n"
		"    kernel: vmlinuz\n"
		"    initrd: initrd\n"
		"    cmdline: console=hvc0 \"quoted\" a=b\n"
		"    weight: 512\n"
		"    cap: 50\n"
		"    affinity: [0, 3]\n"
		"    repeat: 1\n"
		"    debug_exit: true\n"
		"    balloon: 16MiB\n"
		"  - {name: db-2, memory: 1GiB, vcpus: 64, kernel: vmlinuz, balloon: false,\n"
		"     modules: [m1, m1 one two, 'm1  ']}\n";
	const struct config_vm *vm = config.vms;

	CHECK(load_bytes(yaml, sizeof(yaml) - 1, &config, error));
	CHECK(strcmp(error, "") == 0);
	CHECK_EQ(config.vm_count, 2);
	CHECK(strcmp(vm->name, "web") == 0);
	CHECK_EQ(vm->memory, 256 << 20);
	CHECK_EQ(vm->vcpus, 2);
	CHECK(strncmp(vm->kernel, folder, strlen(folder)) == 0);
	CHECK(strcmp(vm->kernel + strlen(folder), "/vmlinuz") == 0);
	CHECK(strcmp(vm->initrd + strlen(folder), "/initrd") == 0);
	CHECK(strcmp(vm->cmdline, "console=hvc0 \"quoted\" a=b") == 0);
	CHECK_EQ(vm->weight, 512);
	CHECK_EQ(vm->cap, 50);
	CHECK_EQ(vm->affinity, 9);
	CHECK_EQ(vm->repeat, 1);
	CHECK(vm->debug_exit);
	CHECK(vm->balloon == 16 << 20 && !vm->no_balloon);
	vm++;
	CHECK(!vm->balloon && vm->no_balloon);
	CHECK(strcmp(vm->name, "db-2") == 0);
	CHECK_EQ(vm->memory, 1ull << 30);
	CHECK_EQ(vm->vcpus, 64);
	CHECK(!vm->initrd && vm->cmdline[0] == '\0');
	CHECK_EQ(vm->weight, BUNDLE_WEIGHT_DEFAULT);
	CHECK(vm->cap == 0 && vm->affinity == 0 && vm->repeat == 0 && !vm->debug_exit);
	CHECK_EQ(vm->module_count, 3);
	CHECK(strcmp(vm->modules[0].args, "") == 0);
	CHECK(strcmp(vm->modules[1].args, "one two") == 0);
	CHECK(strcmp(vm->modules[2].args, " ") == 0);
	config_free(&config);
}

TEST(limits_are_taken)
{
	static const char *const lines[] = {"weight: 1", "weight: 10000", "cap: 1", "cap: 6400",
		"repeat: 0", "repeat: 1000000", "affinity: [63]", "debug_exit: false",
		"balloon: true", "balloon: 15MiB", "cmdline:", "cmdline: ''"};
	static struct config config;
	char error[CONFIG_ERROR_MAX] = "", yaml[300];

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		int n = snprintf(yaml, sizeof(yaml), VM("%s"), lines[i]);

		CHECK(load_bytes(yaml, (size_t)n, &config, error));
		if (*error)
			fprintf(stderr, "%s\n", error);
		config_free(&config);
	}
}

TEST(the_file)
{
	static struct config config;
	char error[CONFIG_ERROR_MAX];
	char *big = calloc(1, CONFIG_FILE_MAX + 2);

	CHECK(!config_load("/nonexistent/c.yaml", &config, error));
	CHECK(strcmp(error,
		      "/nonexistent/c.yaml:1: No such file or directory, expected a YAML file") ==
		0);
	CHECK(!config_load(folder, &config, error));
	CHECK(strstr(error, ":1: Is a directory, expected a YAML file") != NULL);
	memset(big, '#', CONFIG_FILE_MAX + 1);
	wrong_bytes(__LINE__, big, CONFIG_FILE_MAX + 1,
		"1: longer than 1 MiB, expected a configuration");
	free(big);
	WRONG("", "1: empty, expected 'vms:' and a list of VMs");
	WRONG("# only a comment\n", "1: empty, expected 'vms:' and a list of VMs");
	WRONG("- a\n", "1: not a mapping, expected 'vms:' and a list of VMs");
	WRONG("hello\n", "1: not a mapping, expected 'vms:' and a list of VMs");
	WRONG("{}\n", "1: empty, expected 'vms:' and a list of VMs");
	WRONG("vm: 1\n", "1: unknown key 'vm', expected one of vms, switches, root");
	WRONG("vms: 1\n", "1: vms: not a list, expected a list of VMs");
	WRONG("\nvms: []\n", "2: vms: an empty list, expected at least one VM");
	WRONG("vms: []\nvms: []\n", "2: key 'vms' twice, expected it once");
	WRONG("vms:\n  - web\n", "2: not a mapping, expected a VM with its keys");
	WRONG("[a]: 1\n", "1: key: a list, expected one value");
}

TEST(not_yaml)
{
	WRONG("vms: [\n",
		"2: did not find expected node content (while parsing a flow node), expected YAML");
	WRONG("vms:\n\t- a\n",
		"2: found character that cannot start any token (while scanning for the next token), "
		"expected YAML");
	WRONG("vms: *nobody\n", "1: found undefined alias, expected YAML");
	WRONG("a: 1\n---\nb: 2\n", "3: a second document, expected only one");
	WRONG("vms: \xff\xfe\n", "1: invalid leading UTF-8 octet, expected YAML");
	WRONG("vms:\n  - name: \"a\\nb\"\n",
		"2: name: a control character or a line break, expected one line of text");
	WRONG("vms:\n  - name: \"a\\0b\"\n",
		"2: name: a control character or a line break, expected one line of text");
	WRONG("vms:\n  - \"a\\e[2Jb\": 1\n",
		"2: key: a control character or a line break, expected one line of text");
}

TEST(endless_aliases)
{
	WRONG("&a [*a]\n", "1: not a mapping, expected 'vms:' and a list of VMs");
	WRONG("vms: &a\n  - *a\n", "1: not a mapping, expected a VM with its keys");
}

TEST(keys)
{
	WRONG_VM("colour: red",
		"6: unknown key 'colour', expected one of name, memory, vcpus, kernel, initrd, modules, "
		"cmdline, weight, cap, affinity, disks, firmware, firmware_vars, cloud_init, repeat, debug_exit, nics, balloon, autostart, order");
	WRONG_VM("vcpus: 2", "6: key 'vcpus' twice, expected it once");
	WRONG_VM("cmdline: [a]", "6: cmdline: a list, expected one value");
	WRONG_VM("cmdline: {a: b}", "6: cmdline: a mapping, expected one value");
	WRONG("vms:\n  - memory: 1MiB\n", "2: this VM has no 'name', expected a name");
	WRONG("vms:\n  - name: a\n", "2: this VM has no 'memory', expected a size");
	WRONG("vms:\n  - name: a\n    memory: 1MiB\n",
		"2: this VM has no 'vcpus', expected a number");
	WRONG("vms:\n  - name: a\n    memory: 1MiB\n    vcpus: 1\n",
		"2: this VM has no 'kernel', expected a file name, or disks to boot");
	WRONG(VM("weight: 1") "  - name: web\n    memory: 1MiB\n    vcpus: 1\n    kernel: vmlinuz\n",
		"7: name: a second 'web', expected a name of its own");
}

#define NAME_EXPECTED ", expected 1 to 31 of a-z, 0-9 and -"

TEST(names)
{
	WRONG("vms:\n  - name: Web\n", "2: name: 'Web'" NAME_EXPECTED);
	WRONG("vms:\n  - name:\n", "2: name: ''" NAME_EXPECTED);
	WRONG("vms:\n  - name: a/b\n", "2: name: 'a/b'" NAME_EXPECTED);
	WRONG("vms:\n  - name: ..\n", "2: name: '..'" NAME_EXPECTED);
	WRONG("vms:\n  - name: abcdefghijklmnopqrstuvwxyz-01234\n",
		"2: name: 'abcdefghijklmnopqrstuvwxyz-01234'" NAME_EXPECTED);
	WRONG("vms:\n  - name: mezzanine\n",
		"2: name: 'mezzanine' is a log file of `mezz run`, expected another");
	WRONG("vms:\n  - name: events\n",
		"2: name: 'events' is a log file of `mezz run`, expected another");
}

#define UNITS ", expected a number with KiB, MiB, GiB or TiB"
#define RANGE ", expected a multiple of 1MiB from 1MiB to 1TiB"

TEST(memory)
{
	WRONG("vms:\n  - memory: 256\n", "2: memory: '256'" UNITS);
	WRONG("vms:\n  - memory: 256MB\n", "2: memory: '256MB'" UNITS);
	WRONG("vms:\n  - memory: 256 MiB\n", "2: memory: '256 MiB'" UNITS);
	WRONG("vms:\n  - memory: 1.5GiB\n", "2: memory: '1.5GiB'" UNITS);
	WRONG("vms:\n  - memory: -1MiB\n", "2: memory: '-1MiB'" UNITS);
	WRONG("vms:\n  - memory: 99999999999999999999TiB\n",
		"2: memory: '99999999999999999999TiB'" UNITS);
	WRONG("vms:\n  - memory: 16777216TiB\n", "2: memory: '16777216TiB'" UNITS);
	WRONG("vms:\n  - memory: 0MiB\n", "2: memory: '0MiB'" RANGE);
	WRONG("vms:\n  - memory: 1025GiB\n", "2: memory: '1025GiB'" RANGE);
	WRONG("vms:\n  - memory: 1500KiB\n", "2: memory: '1500KiB'" RANGE);
	WRONG("vms:\n  - name: a\n    memory: 3MiB\n    vcpus: 1\n    kernel: big\n",
		"3: memory: 3 MiB, expected more than the 3 MiB of the files to load");
}

TEST(numbers)
{
	WRONG_VM("weight: 0", "6: weight: '0', expected a number from 1 to 10000");
	WRONG_VM("weight: 10001", "6: weight: '10001', expected a number from 1 to 10000");
	WRONG_VM("weight: 1e3", "6: weight: '1e3', expected a number from 1 to 10000");
	WRONG_VM("weight: 0x10", "6: weight: '0x10', expected a number from 1 to 10000");
	WRONG_VM("weight:", "6: weight: '', expected a number from 1 to 10000");
	WRONG_VM("cap: 0", "6: cap: '0', expected a number from 1 to 6400");
	WRONG_VM("cap: 50%", "6: cap: '50%', expected a number from 1 to 6400");
	WRONG_VM("cap: 6401", "6: cap: '6401', expected a number from 1 to 6400");
	WRONG_VM("repeat: -1", "6: repeat: '-1', expected a number from 0 to 1000000");
	WRONG_VM("repeat: 1000001", "6: repeat: '1000001', expected a number from 0 to 1000000");
	WRONG_VM("repeat: 18446744073709551617",
		"6: repeat: '18446744073709551617', expected a number from 0 to 1000000");
	WRONG("vms:\n  - vcpus: 0\n", "2: vcpus: '0', expected a number from 1 to 64");
	WRONG("vms:\n  - vcpus: 65\n", "2: vcpus: '65', expected a number from 1 to 64");
	WRONG_VM("balloon: on", "6: balloon: 'on', expected true, false or a multiple of 1MiB");
	WRONG_VM("balloon: 100KiB",
		"6: balloon: '100KiB', expected true, false or a multiple of 1MiB");
	WRONG_VM("balloon: 16MiB", "6: balloon: 16 MiB, expected less than the memory");
	WRONG_VM("debug_exit: yes", "6: debug_exit: 'yes', expected true or false");
}

// A configuration with a switch whose VM has these network cards, on line 7.
#define NICS(text)                                                                                 \
	"switches: [{name: lan}]\nvms:\n  - name: web\n    memory: 16MiB\n    vcpus: 1\n"          \
	"    kernel: vmlinuz\n    nics: " text "\n"
#define WRONG_NICS(text, expected) WRONG(NICS(text), expected)

TEST(network_cards)
{
	static struct config config;
	char error[CONFIG_ERROR_MAX] = "";
	const char yaml[] =
		NICS("[{switch: lan}, {switch: wan-2, vlan: 10, mac: '52:54:00:aB:cd:ef'},\n"
		     "           {switch: lan, vlan: trunk}, {switch: wan-2, trunk: [10, 0], link: "
		     "uplink}]") "  - {name: db, memory: 16MiB, vcpus: 1, "
				 "kernel: vmlinuz, nics: [{switch: lan}]}\n"
				 "# behind the VMs, too\n";
	char with[1000];
	const struct config_nic *nic = config.vms[0].nics;

	snprintf(with, sizeof(with),
		"switches: [{name: lan}, {name: wan-2, uplink: eth0, storm: 0, rate: 10MiB}]%s",
		strchr(yaml, '\n'));
	CHECK(load_bytes(with, strlen(with), &config, error));
	CHECK(strcmp(error, "") == 0);
	CHECK_EQ(config.switch_count, 2);
	CHECK(strcmp(config.switches[1].name, "wan-2") == 0);
	CHECK(config.switches[0].storm == CONFIG_STORM_DEFAULT && config.switches[0].rate == 0);
	CHECK(config.switches[1].storm == 0 && config.switches[1].rate == 10 << 20);
	CHECK_EQ(config.vms[0].nic_count, 4);
	CHECK(strcmp(nic[0].switch_name, "lan") == 0 && nic[0].vlan == 0 && !nic[0].trunk);
	CHECK(strcmp(nic[1].switch_name, "wan-2") == 0 && nic[1].vlan == 10);
	CHECK(memcmp(nic[1].mac, "\x52\x54\x00\xab\xcd\xef", 6) == 0);
	CHECK(nic[2].trunk && !nic[2].trunk_count && !nic[2].follow);
	CHECK(nic[3].trunk && nic[3].trunk_count == 2 && nic[3].trunk_vlans[0] == 10);
	CHECK(nic[3].trunk_vlans[1] == 0 && nic[3].follow);
	// Derived: a station's, locally administered, each another, and the same the next time.
	CHECK((nic[0].mac[0] & 3) == 2 && (nic[2].mac[0] & 3) == 2);
	CHECK(memcmp(nic[0].mac, nic[2].mac, 6) != 0);
	CHECK(memcmp(nic[0].mac, config.vms[1].nics[0].mac, 6) != 0);
	CHECK(memcmp(nic[0].mac, "\x32\xe4\x01\xf2\xf7\x6e", 6) == 0);
	config_free(&config);
}

TEST(wrong_network_cards)
{
	WRONG_NICS("lan", "7: nics: not a list, expected [{switch: ...}, ...]");
	WRONG_NICS("[lan]", "7: nics: not a mapping, expected {switch: ...}");
	WRONG_NICS("[{vlan: 3}]", "7: nics: one has no 'switch', expected it");
	WRONG_NICS("[{switch: lan, colour: red}]",
		"7: unknown key 'colour', expected one of switch, vlan, trunk, mac, link");
	WRONG_NICS("[{switch: lan, link: down}]", "7: link: 'down', expected up or uplink");
	WRONG_NICS("[{switch: lan, link: uplink}]",
		"7: link: switch 'lan' has no uplink, expected one");
	WRONG_NICS("[{switch: lan, trunk: 10}]",
		"7: trunk: not a list, expected VLANs such as [10, 20]");
	WRONG_NICS("[{switch: lan, trunk: []}]",
		"7: trunk: not a list, expected VLANs such as [10, 20]");
	WRONG_NICS("[{switch: lan, trunk: [4095]}]",
		"7: trunk: '4095', expected a VLAN from 1 to 4094, or 0 for what has no tag");
	WRONG_NICS("[{switch: lan, vlan: 3, trunk: [4]}]",
		"7: trunk: beside a vlan, expected one of both");
	WRONG_NICS("[{switch: lan, switch: lan}]", "7: key 'switch' twice, expected it once");
	WRONG_NICS("[{switch: wan}]", "7: switch: 'wan' is not there, expected one of 'switches'");
	WRONG_NICS("[{switch: L}]", "7: switch: 'L', expected 1 to 31 of a-z, 0-9 and -");
	WRONG_NICS("[{switch: lan, vlan: 0}]",
		"7: vlan: '0', expected a number from 1 to 4094, or trunk");
	WRONG_NICS("[{switch: lan, vlan: 4095}]",
		"7: vlan: '4095', expected a number from 1 to 4094, or trunk");
#define MAC_EXPECTED ", expected an address such as 52:54:00:12:34:56"
	WRONG_NICS("[{switch: lan, mac: x}]", "7: mac: 'x'" MAC_EXPECTED);
	WRONG_NICS("[{switch: lan, mac: '52:54:00:12:34:5'}]",
		"7: mac: '52:54:00:12:34:5'" MAC_EXPECTED);
	WRONG_NICS("[{switch: lan, mac: '52:54:00:12:34:5:'}]",
		"7: mac: '52:54:00:12:34:5:'" MAC_EXPECTED);
	WRONG_NICS("[{switch: lan, mac: '53:54:00:12:34:56'}]",
		"7: mac: '53:54:00:12:34:56' is no single station's, expected one that is");
	WRONG_NICS("[{switch: lan, mac: '00:00:00:00:00:00'}]",
		"7: mac: '00:00:00:00:00:00' is no single station's, expected one that is");
	WRONG_NICS("\n    - {switch: lan, mac: '52:54:00:00:00:01'}\n    - {switch: lan, mac: "
		   "'52:54:00:00:00:01'}",
		"9: mac: 52:54:00:00:00:01 a second time, expected an address of its own");
#define CARD "{switch: lan}, "
	WRONG_NICS("[" CARD CARD CARD CARD CARD CARD CARD CARD "{switch: lan}]",
		"7: nics: one more, expected at most 8");
	WRONG("switches: lan\nvms: []\n", "1: switches: not a list, expected [{name: ...}, ...]");
	WRONG("switches: [{storm: 1}]\nvms: []\n", "1: switches: one has no 'name', expected it");
	WRONG("switches: [{name: a}, {name: a}]\nvms: []\n",
		"1: switches: a second 'a', expected a name of its own");
	WRONG("switches: [{name: a, storm: -1}]\nvms: []\n",
		"1: storm: '-1', expected frames a second from 0 (no limit) to 1000000000");
	WRONG("switches: [{name: a, uplink: ../x}]\nvms: []\n",
		"1: uplink: '../x', expected a network card such as eth0");
	WRONG("switches: [{name: a, uplink: eth0}, {name: b, uplink: eth0}]\nvms: []\n",
		"1: uplink: 'eth0' is that of 'a', expected a network card of its own");
	WRONG("switches: [{name: a, rate: 100}]\nvms: []\n",
		"1: rate: '100', expected bytes a second from 64KiB to 1TiB");
	WRONG("switches: []\nswitches: []\nvms: []\n", "2: key 'switches' twice, expected it once");
}

TEST(affinity)
{
	WRONG_VM("affinity: 1", "6: affinity: not a list, expected CPU numbers as in [0, 1]");
	WRONG_VM("affinity: []", "6: affinity: an empty list, expected at least one CPU");
	WRONG_VM("affinity: [64]", "6: affinity: '64', expected a number from 0 to 63");
	WRONG_VM("affinity:\n      - 1\n      - 1\n", "8: affinity: CPU 1 twice, expected it once");
}

static void wrong_file(int at, const char *line, const char *key, const char *what)
{
	char yaml[300], expected[300];
	int n = snprintf(yaml, sizeof(yaml), VM("%s"), line);

	snprintf(expected, sizeof(expected), "6: %s: '%s/%s", key, folder, what);
	wrong_bytes(at, yaml, (size_t)n, expected);
}

TEST(files)
{
	wrong_file(__LINE__, "initrd: none", "initrd",
		"none': No such file or directory, expected a file");
	wrong_file(__LINE__, "initrd: sub", "initrd", "sub' is not a regular file, expected one");
	wrong_file(__LINE__, "modules: [none x]", "modules",
		"none': No such file or directory, expected a file");
	WRONG_VM("initrd: /dev/null", "6: initrd: '/dev/null' is not a regular file, expected one");
	WRONG_VM("initrd:", "6: initrd: empty, expected a file name");
	WRONG_VM("modules: m1", "6: modules: not a list, expected [file, ...]");
	WRONG_VM("modules: [' m1']", "6: modules: empty, expected a file name");
	WRONG_VM("modules: [m1, m1, m1, m1, m1, m1, m1, m1,\n      m1]",
		"7: modules: one more, expected at most 8");
	WRONG_VM("initrd: initrd\n    modules: [m1]",
		"7: modules: with an initrd, expected one or the other");
}

TEST(command_lines)
{
	char *yaml = calloc(1, 4096);
	static struct config config;
	char error[CONFIG_ERROR_MAX];

	strcpy(yaml, VM("cmdline: "));
	memset(yaml + strlen(yaml) - 1, 'x', BUNDLE_CMDLINE_MAX);
	CHECK(load_bytes(yaml, strlen(yaml), &config, error));
	CHECK_EQ(strlen(config.vms[0].cmdline), BUNDLE_CMDLINE_MAX);
	config_free(&config);
	strcat(yaml, "y");
	wrong_bytes(
		__LINE__, yaml, strlen(yaml), "6: cmdline: 2048 characters, expected at most 2047");
	free(yaml);
	WRONG_VM("cmdline: |\n      a\n      b",
		"6: cmdline: a control character or a line break, expected one line of text");
}

#define ROOT "root: {memory: 64MiB, kernel: vmlinuz, initrd: initrd, cmdline: quiet}\n"

TEST(root_vm)
{
	static struct config config;
	char error[CONFIG_ERROR_MAX] = "";
	const char yaml[] = ROOT VM("cmdline: x");

	CHECK(load_bytes(yaml, sizeof(yaml) - 1, &config, error));
	CHECK_EQ(config.vm_count, 2);
	CHECK(config.vms[0].is_root && !config.vms[1].is_root);
	CHECK(strcmp(config.vms[0].name, "root") == 0 &&
		strcmp(config.vms[0].cmdline, "quiet") == 0);
	CHECK(config.vms[0].memory == 64 << 20 && config.vms[0].initrd);
	config_free(&config);
	CHECK(load_bytes(ROOT, sizeof(ROOT) - 1, &config, error));
	CHECK_EQ(config.vm_count, 1);
	config_free(&config);
	WRONG("root: [1]\n", "1: root: not a mapping, expected memory, kernel, initrd, cmdline");
	WRONG("root: {memory: 64MiB}\n", "1: root: expected a memory and a kernel");
	WRONG("root: {memory: 1MiB, kernel: vmlinuz, vcpus: 2}\n",
		"1: unknown key 'vcpus', expected one of memory, kernel, initrd, cmdline");
	WRONG("vms:\n  - {name: root, memory: 1MiB, vcpus: 1, kernel: vmlinuz}\n",
		"2: name: 'root' is the root VM's ('root:'), expected another");
}

TEST(many_vms)
{
	static struct config config;
	static char yaml[16384];
	char error[CONFIG_ERROR_MAX], expected[100];
	size_t n = (size_t)sprintf(yaml, "vms:\n");

	for (int i = 0; i < BUNDLE_MAX_VMS; i++)
		n += (size_t)sprintf(
			yaml + n, "  - {name: v%d, memory: 1MiB, vcpus: 1, kernel: vmlinuz}\n", i);
	CHECK(load_bytes(yaml, n, &config, error));
	CHECK_EQ(config.vm_count, BUNDLE_MAX_VMS);
	config_free(&config);
	n += (size_t)sprintf(
		yaml + n, "  - {name: last, memory: 1MiB, vcpus: 1, kernel: vmlinuz}\n");
	snprintf(expected, sizeof(expected), "%d: one more VM, expected at most 64",
		BUNDLE_MAX_VMS + 2);
	wrong_bytes(__LINE__, yaml, n, expected);
}

TEST(shell_words)
{
	struct words w = {0}, again = {0};
	char *line;

	CHECK(words_split(&w, " -a 'b c'  \"d\\\"e $x\" f\\ g '' x'y'z\n"));
	CHECK_EQ(w.count, 6);
	CHECK(strcmp(w.list[0], "-a") == 0 && strcmp(w.list[1], "b c") == 0);
	CHECK(strcmp(w.list[2], "d\"e $x") == 0 && strcmp(w.list[3], "f g") == 0);
	CHECK(strcmp(w.list[4], "") == 0 && strcmp(w.list[5], "xyz") == 0);
	CHECK(w.list[6] == NULL);
	words_add(&w, "it's");
	line = words_quote(&w);
	CHECK(strcmp(line, "-a 'b c' 'd\"e $x' 'f g' '' xyz 'it'\\''s'") == 0);
	CHECK(words_split(&again, line));
	CHECK_EQ(again.count, w.count);
	CHECK(strcmp(again.list[6], "it's") == 0);
	CHECK(!words_split(&again, "a 'b"));
	CHECK(!words_split(&again, "\"b"));
	free(line);
	words_free(&w);
	words_free(&again);
}

TEST(disks)
{
	static struct config config;
	char error[CONFIG_ERROR_MAX] = "";
	const char yaml[] = "vms:\n"
			    "  - name: web\n"
			    "    memory: 16MiB\n"
			    "    vcpus: 2\n"
			    "    kernel: vmlinuz\n"
			    "    disks:\n"
			    "      - {image: disk, format: raw, mode: ro}\n"
			    "      - {image: big}\n"
			    "      - device: nvme0n1p3\n"
			    "  - name: db\n"
			    "    memory: 16MiB\n"
			    "    vcpus: 2\n"
			    "    kernel: vmlinuz\n"
			    "    disks: [{image: disk, mode: snapshot}, {device: sda, mode: ro}]\n";
	const struct config_disk *disk = config.vms[0].disks;

	CHECK(load_bytes(yaml, sizeof(yaml) - 1, &config, error));
	CHECK(strcmp(error, "") == 0);
	CHECK_EQ(config.vms[0].disk_count, 3);
	CHECK(strcmp(disk[0].image + strlen(folder), "/disk") == 0);
	CHECK(disk[0].mode == CONFIG_DISK_RO && disk[0].size == 1024);
	CHECK(disk[1].mode == CONFIG_DISK_RW && !disk[1].device);
	CHECK(!disk[2].image && strcmp(disk[2].device, "nvme0n1p3") == 0);
	CHECK(config.vms[1].disks[0].mode == CONFIG_DISK_SNAPSHOT);
	config_free(&config);
}

TEST(wrong_disks)
{
	char expected[400];

	WRONG_VM("disks: disk", "6: disks: not a list, expected [{image: FILE, mode: rw}, ...]");
	WRONG_VM("disks: [disk]",
		"6: disks: not a mapping, expected a disk as in {image: FILE, mode: rw}");
	WRONG_VM("disks: [{mode: ro}]", "6: this disk has no image, expected one, or a device");
	WRONG_VM("disks: [{image: disk, device: sda}]",
		"6: this disk has an image and a device, expected one of them");
	WRONG_VM("disks: [{image: disk, mode: wr}]", "6: mode: 'wr', expected rw, ro or snapshot");
	WRONG_VM("disks: [{image: disk, format: qcow2}]", "6: format: 'qcow2', expected raw");
	WRONG_VM("disks: [{image: disk, image: disk}]", "6: key 'image' twice, expected it once");
	WRONG_VM("disks: [{image: disk, size: 3}]",
		"6: unknown key 'size', expected one of image, device, format, mode");
	WRONG_VM("disks: [{device: 'a b'}]",
		"6: device: 'a b', expected a name such as nvme0n1p3, a PARTUUID, or a serial number");
	WRONG_VM("disks: [{device: sda, mode: snapshot}]",
		"6: mode: snapshot of a device, expected rw or ro");
	WRONG_VM("disks: [{device: sda}, {device: sda, mode: ro}]",
		"6: disks: 'sda' is a disk of web too, expected no other user of a disk that is written");
	snprintf(expected, sizeof(expected),
		"6: image: '%s/m1' has 1 bytes, expected whole sectors of 512", folder);
	WRONG_VM("disks: [{image: m1}]", expected);
	snprintf(expected, sizeof(expected),
		"12: disks: '%s/../%s/disk' is a disk of web too, expected no other user of a disk that is written",
		folder, folder + 5);
	{
		char yaml[600];
		int n = snprintf(yaml, sizeof(yaml),
			VM("disks: [{image: disk, mode: ro}]") "  - name: db\n    memory: 16MiB\n"
							       "    vcpus: 1\n    kernel: vmlinuz\n"
							       "    disks:\n"
							       "     - {image: ../%s/disk}\n",
			folder + 5);

		wrong_bytes(__LINE__, yaml, (size_t)n, expected);
	}
}

#define LOAD(yaml)  load_bytes(yaml, sizeof(yaml) - 1, &config, error)
#define BOOT(lines) "vms:\n  - name: a\n    memory: 64MiB\n    vcpus: 1\n" lines

TEST(firmware_in_place_of_a_kernel)
{
	static struct config config;
	char error[CONFIG_ERROR_MAX] = "";

	CHECK(LOAD(BOOT("    disks: [{image: disk}]\n    firmware: m1\n")));
	CHECK(!config.vms[0].kernel && !config.vms[0].firmware[1]);
	CHECK(strstr(config.vms[0].firmware[0], "/m1"));
	config_free(&config);
	CHECK(LOAD(BOOT("    disks: [{image: disk}]\n    firmware: [m1, initrd]\n")));
	CHECK(strstr(config.vms[0].firmware[0], "/m1"));
	CHECK(strstr(config.vms[0].firmware[1], "/initrd"));
	config_free(&config);
	WRONG(BOOT("    disks: [{image: disk}]\n    kernel: vmlinuz\n    firmware: m1\n"),
		"2: this VM has a 'kernel' and 'firmware', expected one of them");
	WRONG(BOOT("    disks: [{image: disk}]\n    firmware: m1\n    cmdline: quiet\n"),
		"2: this VM has an initrd, modules or a cmdline, expected a 'kernel' for them");
	WRONG(BOOT("    firmware: m1\n"),
		"2: this VM has no 'kernel', expected a file name, or disks to boot");
	WRONG(BOOT("    firmware: [m1]\n"),
		"5: firmware: not two files, expected [VARIABLES, CODE], or one");
}

TEST(firmware_variables)
{
	static struct config config;
	char error[CONFIG_ERROR_MAX] = "";

#define DISK "    disks: [{image: disk}]\n    firmware: m1\n"
	CHECK(LOAD(BOOT(DISK "    firmware_vars: {device: nvme0n1p3}\n")));
	CHECK(strcmp(config.vms[0].firmware_vars, "nvme0n1p3") == 0);
	config_free(&config);
	WRONG(BOOT(DISK "    firmware_vars: nvme0n1p3\n"),
		"7: firmware_vars: not a mapping of one key, expected {device: NAME}, NAME such as nvme0n1p3, or a PARTUUID");
	WRONG(BOOT(DISK "    firmware_vars: {image: x}\n"),
		"7: unknown key 'image' of firmware_vars, expected {device: NAME}, NAME such as nvme0n1p3, or a PARTUUID");
	WRONG(BOOT(DISK "    firmware_vars: {device: ../x}\n"),
		"7: device: '../x', expected a name such as nvme0n1p3, a PARTUUID, or a serial number");
	WRONG(BOOT("    kernel: vmlinuz\n    firmware_vars: {device: vd0}\n"),
		"2: this VM has a 'kernel' and 'firmware_vars', expected one of them");
	WRONG(BOOT("    disks: [{device: vd0p1, mode: ro}]\n    firmware: m1\n    firmware_vars: {device: vd0p1}\n"),
		"2: firmware_vars: 'vd0p1' is used by a, too, expected a device of its own");
#define SECOND "  - name: b\n    memory: 64MiB\n    vcpus: 1\n"
	WRONG(BOOT(DISK "    firmware_vars: {device: vd0p1}\n" SECOND
			"    kernel: vmlinuz\n    disks: [{device: vd0p1, mode: ro}]\n"),
		"8: firmware_vars: 'vd0p1' is used by a, too, expected a device of its own");
	WRONG(BOOT(DISK "    firmware_vars: {device: vd0p1}\n" SECOND DISK
			"    firmware_vars: {device: vd0p1}\n"),
		"8: firmware_vars: 'vd0p1' is used by a, too, expected a device of its own");
}

TEST(debians_firmware)
{
	static struct config config;
	char error[CONFIG_ERROR_MAX] = "";
	bool there =
		access(CONFIG_FIRMWARE_VARS, R_OK) == 0 && access(CONFIG_FIRMWARE_CODE, R_OK) == 0;

	CHECK_EQ(LOAD(BOOT("    disks: [{image: disk}]\n")), there);
	if (!there) {
		CHECK(strstr(error, "package ovmf"));
		return;
	}
	CHECK(strcmp(config.vms[0].firmware[0], CONFIG_FIRMWARE_VARS) == 0);
	CHECK(strcmp(config.vms[0].firmware[1], CONFIG_FIRMWARE_CODE) == 0);
	config_free(&config);
}

TEST(cloud_init)
{
	static struct config config;
	char error[CONFIG_ERROR_MAX] = "";

	CHECK(LOAD(VM("cloud_init: {user_data: m1, network_config: initrd}")));
	CHECK(strstr(config.vms[0].user_data, "/m1"));
	CHECK(strstr(config.vms[0].network_config, "/initrd"));
	config_free(&config);
	WRONG_VM("cloud_init: m1",
		"6: cloud_init: not a mapping, expected {user_data: FILE, network_config: FILE}");
	WRONG_VM("cloud_init: {network_config: m1}",
		"6: cloud_init: no user_data, expected a file name");
	WRONG_VM("cloud_init: {user_data: m1, user_data: m1}",
		"6: key 'user_data' twice, expected it once");
	WRONG_VM("cloud_init: {vendor_data: m1}",
		"6: unknown key 'vendor_data', expected one of user_data, network_config");
	wrong_file(__LINE__, "cloud_init: {user_data: sub}", "user_data",
		"sub' is not a regular file, expected one");
}

TEST_MAIN()
