// SPDX-License-Identifier: MIT
// mezzd, the daemon of the root VM: keeps a back-end for each VM and the networks of their cards, and serves the API (docs/mezzd.md).
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/signalfd.h>

#include "common/device.h"
#include "common/util.h"
#include "mezzd/http.h"
#include "mezzd/manager.h"
#include "mezzd/network.h"
#include "mezzd/state.h"
#include "mezzd/store.h"
#include "mezzd/supervisor.h"

struct options {
	const char *folder, *store, *socket;
	char *backend;
};

static int misused(const char *why)
{
	complain(
		"%s\nusage: mezzd [--folder DIR] [--store DIR] [--socket FILE] [--backend PROGRAM] [--no-vlans]",
		why);
	return STATUS_USAGE;
}

// PROGRAM beside this one; the caller frees it.
static char *beside(const char *program)
{
	char own[4096] = "";
	char *slash;

	if (readlink("/proc/self/exe", own, sizeof(own) - 1) < 0)
		own[0] = 0;
	slash = strrchr(own, '/');
	return print_text("%.*s/%s", slash ? (int)(slash - own) : 0, own, program);
}

static int read_options(struct options *o, int argc, char **argv)
{
	static const struct option names[] = {{"folder", required_argument, NULL, 'f'},
		{"store", required_argument, NULL, 's'}, {"socket", required_argument, NULL, 'l'},
		{"backend", required_argument, NULL, 'b'}, {"no-vlans", no_argument, NULL, 'n'},
		{0}};
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (c == 'f')
			o->folder = optarg;
		else if (c == 's')
			o->store = optarg;
		else if (c == 'l')
			o->socket = optarg;
		else if (c == 'b')
			o->backend = copy_text(optarg, strlen(optarg));
		else if (c == 'n')
			network_without_vlans();
		else
			return misused("unknown option");
	}
	if (optind != argc)
		return misused("expected no more words");
	if (strlen(o->folder) > STATE_PATH - MEZZ_NAME_SIZE - 8)
		return misused("--folder: expected a shorter path");
	if (!o->backend)
		o->backend = beside("mezz-backend");
	return STATUS_OK;
}

// SIGTERM and SIGINT end mezzd, and nothing else.
struct ending {
	struct loop_source source;
	struct loop *loop;
};

static void asked_to_end(struct loop_source *s)
{
	struct signalfd_siginfo info;

	if (read(s->fd, &info, sizeof(info)) == sizeof(info))
		complain("ends by signal %u; back-ends go on", info.ssi_signo);
	loop_end(((struct ending *)((char *)s - offsetof(struct ending, source)))->loop);
}

static bool watch_signals(struct ending *e, struct loop *l)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	*e = (struct ending){{signalfd(-1, &set, SFD_CLOEXEC), asked_to_end}, l};
	if (e->source.fd >= 0)
		return loop_watch(l, &e->source);
	complain("signalfd: %s", strerror(errno));
	return false;
}

// What mezzd is made of.
struct daemon {
	struct loop loop;
	struct ending ending;
	struct supervisor supervisor;
	struct manager manager;
	struct http http;
};

static void tell_backend(void *owner, const char *event, const char *vm, const char *how)
{
	struct daemon *d = owner;
	struct json_object *more = json_object_new_object();

	if (how)
		json_object_object_add(more, "how", json_object_new_string(how));
	events_add(&d->manager.events, event, vm, more);
}

static void event_added(void *owner)
{
	http_wake(&((struct daemon *)owner)->http);
}

static void vm_created(void *owner)
{
	supervisor_hurry(&((struct daemon *)owner)->supervisor);
}

// The API is there before VMs start, so that the first events are heard; nobody is answered before the loop runs.
static bool begin(struct daemon *d, const struct options *o)
{
	if (!device_open() || !state_folder(o->folder) || !state_lock(o->folder) ||
		!loop_open(&d->loop) || !watch_signals(&d->ending, &d->loop) ||
		!manager_open(&d->manager, &d->loop, o->folder, o->store) ||
		!http_open(&d->http, &d->loop, &d->manager, o->socket))
		return false;
	d->manager.created = vm_created;
	d->manager.owner = d->manager.events.owner = d->supervisor.owner = d;
	d->manager.events.added = event_added;
	d->supervisor.tell = tell_backend;
	complain("process %d; back-ends are %s; requests at %s", getpid(), o->backend, o->socket);
	supervisor_start(&d->supervisor, &d->loop, o->folder, o->backend);
	return true;
}

static int serve(const struct options *o)
{
	struct daemon *d = allocate(sizeof(*d));
	bool ok = begin(d, o);

	if (ok) {
		ok = loop_run(&d->loop);
		http_close(&d->http);
		manager_close(&d->manager);
		supervisor_stop(&d->supervisor);
	}
	free(d);
	return ok ? STATUS_OK : STATUS_FAILED;
}

int main(int argc, char **argv)
{
	struct options o = {.folder = STATE_FOLDER, .store = STORE_FOLDER, .socket = HTTP_SOCKET};
	int status;

	program_name = "mezzd";
	status = read_options(&o, argc, argv);
	if (status == STATUS_OK)
		status = serve(&o);
	free(o.backend);
	return status;
}
