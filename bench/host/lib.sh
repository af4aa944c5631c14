# SPDX-License-Identifier: MIT
# Shell functions of the host side; sourced by /init and by the hook that runs
# while the guest holds still.
export PATH=/bin:/sbin:/usr/bin:/usr/sbin:/usr/lib/xen-4.17/bin
arg() { # arg name default: a word of the kernel command line
    for w in $(cat /proc/cmdline); do
        case $w in "$1"=*) echo "${w#*=}"; return;; esac
    done
    echo "$2"
}
kv() { echo "RIGKV $*"; }
mem() {
    awk -v p="$1" '/^(MemTotal|MemFree|MemAvailable):/ { sub(":", "", $1); print "RIGKV " p "_" $1 " " $2 " KiB" }' /proc/meminfo
}
finish() {
    rigtool stamp host_finish
    sync
    poweroff -f
    sleep 60
}
die() { echo "RIGERR $*"; finish; }
# the words for the second guest of the network tests
peer_words() {
    [ "$(arg rig.loud 0)" = 1 ] || echo -n "quiet "
    echo "rig.tests=serve"
}
# the words for the guest, the same for every peer: rig.g.x=y becomes rig.x=y;
# rig.loud=1 shows the guest kernel's messages
guest_words() {
    [ "$(arg rig.loud 0)" = 1 ] || echo -n "quiet "
    for w in $(cat /proc/cmdline); do
        case $w in rig.g.*) echo -n "rig.${w#rig.g.} ";; esac
    done
}
