// SPDX-License-Identifier: MIT
// What became of the VMs, as the kernel's events tell it (abi/console.h).
#include "mezz/outcome.h"

#include <string.h>

enum event { START, REBOOT, POWEROFF, EXIT, STOPPED, FRAMES };

static const char *const names[] = {"start", "reboot", "poweroff", "exit", "stopped", "frames"};

int outcome_vm(const struct outcome *o, const char *name, size_t length)
{
	for (unsigned i = 0; i < o->config->vm_count; i++)
		if (strlen(o->config->vms[i].name) == length &&
			memcmp(o->config->vms[i].name, name, length) == 0)
			return (int)i;
	return -1;
}

static void apply(
	struct outcome *o, unsigned i, enum event event, const char *rest, struct text *say)
{
	const char *name = o->config->vms[i].name;

	switch (event) {
	case START:
		o->vm[i].phase = VM_RUNNING;
		if (o->vm[i].starts++)
			text_print(say, "%s: started again\n", name);
		break;
	case REBOOT:
		text_print(say, "%s: rebooted\n", name);
		break;
	case POWEROFF:
		o->vm[i].phase = VM_OFF;
		o->vm[i].ends++;
		text_print(say, "%s: powered off\n", name);
		break;
	case EXIT:
		o->vm[i].phase = VM_OFF;
		o->vm[i].ends++;
		text_print(say, "%s: exit %s\n", name, rest);
		break;
	case STOPPED:
		o->vm[i].phase = VM_STOPPED;
		o->stopped = true;
		text_print(say, "%s: stopped: %s\n", name, rest);
		break;
	case FRAMES: // for the tests, in the event log
		break;
	}
}

void outcome_event(struct outcome *o, const char *event, struct text *say)
{
	size_t verb = strcspn(event, " "), name;
	const char *rest = event + verb + (event[verb] == ' ');
	int vm;

	if (strcmp(event, "end") == 0) {
		o->ended = true;
		return;
	}
	if (verb == 5 && memcmp(event, "panic", 5) == 0) {
		if (!o->panicked)
			text_print(say, "mezzanine: panic: %s\n", rest);
		o->panicked = true;
		return;
	}
	name = strcspn(rest, " ");
	vm = outcome_vm(o, rest, name);
	for (unsigned i = 0; name && i < sizeof(names) / sizeof(names[0]); i++) {
		if (strlen(names[i]) != verb || memcmp(names[i], event, verb) != 0)
			continue;
		if (vm >= 0)
			apply(o, (unsigned)vm, (enum event)i, rest + name + (rest[name] == ' '),
				say);
		else if (i != FRAMES) // of a VM that the root VM has made
			text_print(say, "mezz: %s\n", event);
		return;
	}
	text_print(say, "mezz: unknown event from the kernel: %s\n", event);
}

bool outcome_gone(const struct outcome *o, unsigned i)
{
	if (o->vm[i].phase == VM_STOPPED)
		return true;
	return o->vm[i].phase == VM_OFF && o->vm[i].ends > o->config->vms[i].repeat;
}

int outcome_status(const struct outcome *o, struct text *say)
{
	int status = o->stopped ? STATUS_STOPPED : STATUS_OK;

	if (o->panicked)
		return STATUS_PANIC;
	for (unsigned i = 0; i < o->config->vm_count; i++) {
		if (o->vm[i].phase == VM_OFF || o->vm[i].phase == VM_STOPPED)
			continue;
		text_print(say, "mezz: the kernel ended without a word about %s\n",
			o->config->vms[i].name);
		status = STATUS_FAILED;
	}
	return status;
}
