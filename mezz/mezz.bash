# SPDX-License-Identifier: MIT
# Completion of mezz's words in bash: source it, or install it as /usr/share/bash-completion/completions/mezz.
_mezz()
{
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]-} words=

	if [ "$COMP_CWORD" -eq 1 ]; then
		words="bundle iso run trace vm host log top help --version"
	elif [ "$before" = -o ] && [ "$command" != bundle ] && [ "$command" != iso ]; then
		words="json text"
	elif [ "$before" = --model ]; then
		words="micro mono"
	elif [ "$command" = help ]; then
		words="bundle iso run trace vm host log top"
	elif [ "$command" = host ]; then
		words="info -o"
	elif [ "$command" = vm ] && [ "$COMP_CWORD" -eq 2 ]; then
		words="list info create start stop pause resume restart delete console"
	elif [ "$command" = vm ] && [[ $word == -* ]]; then
		words="-o --force --timeout --once"
	elif [ "$command" = vm ] && [ "${COMP_WORDS[2]}" != create ]; then
		words=$(mezz vm list 2>/dev/null | awk 'NR > 1 { print $2 }')
	elif [ "$command" = run ] && [[ $word == -* ]]; then
		words="--model --boot --cpus --memory --cpu --disk --snapshot --nic --forward --kernel-args --log --timeout
			--stop-timeout --attach --no-attach --verbose --gdb --qemu-args --dry-run"
	fi
	if [ -n "$words" ]; then
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
	else
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
	fi
}
complete -F _mezz mezz
