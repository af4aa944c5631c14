# SPDX-License-Identifier: MIT
# Xen: sourced by /init in dom0.
XL=/usr/lib/xen-4.17/bin/xl
prepare() {
    mkdir -p /var/run/xen /var/run/xenstored /run/xen /run/xenstored \
        /var/lib/xen /var/lib/xenstored /var/log/xen/console /var/lock
    mount -t xenfs xenfs /proc/xen || return 1
    xenstored --pid-file /run/xenstored.pid || return 1
    for i in 1 2 3 4 5 6 7 8 9 10; do
        xenstore-read / >/dev/null 2>&1 && break
        sleep 0.2
    done
    xen-init-dom0 >/dev/null || return 1
    xenconsoled --pid-file=/run/xenconsoled.pid || return 1
    brctl addbr xenbr0
    ifconfig xenbr0 10.77.0.1 netmask 255.255.255.0 up
    $XL info | sed -n 's/^\(xen_version\|total_memory\|free_memory\|xen_commandline\|virt_caps\|hw_caps\|xen_caps\) *: */RIGKV xl_\1 /p'
    [ "$(arg rig.dmesg 0)" = 0 ] || $XL dmesg
}
xenmem() { # xenmem when
    $XL info | sed -n "s/^\(free_memory\|outstanding_claims\) *: *\(.*\)/RIGKV $1_xen_\1 \2 MiB/p"
    $XL list | awk -v p="$1" '$2 ~ /^[0-9]+$/ { print "RIGKV " p "_xl_list_" $1 " " $3 " MiB" }'
}
config() { # config name number memory words
    cat <<END
type = "pvh"
name = "$1"
kernel = "/guest/vmlinuz"
ramdisk = "/guest/initrd"
cmdline = "console=hvc0 panic=-1 $4"
memory = $3
maxmem = $3
vcpus = $GCPUS
on_poweroff = "destroy"
on_reboot = "destroy"
on_crash = "destroy"
tsc_mode = "$(arg rig.xen.tsc_mode native)"
vif = [ 'mac=00:16:3e:00:00:0$2,bridge=xenbr0' ]
END
}
during() {
    xenmem during
    mem during
}
run_guest() {
    xenmem before
    config g1 1 "$GMEM" "rig.disk=/dev/xvda $(guest_words)" >/tmp/g1.cfg
    [ -z "$GDISK" ] || echo "disk = [ 'format=raw,vdev=xvda,access=rw,target=$GDISK' ]" >>/tmp/g1.cfg
    if [ "$(arg rig.two 0)" = 1 ]; then
        config g2 2 "$GPEERMEM" "$(peer_words)" >/tmp/g2.cfg
        $XL create /tmp/g2.cfg || echo "RIGWARN no second guest"
    fi
    rigtool stamp create
    rigtool ts /hook $XL create -c /tmp/g1.cfg
    for i in 1 2 3 4 5 6 7 8 9 10; do
        $XL list g1 >/dev/null 2>&1 || break
        sleep 0.5
    done
    xenmem after
}
