# SPDX-License-Identifier: MIT
# KVM: sourced by /init on the KVM host.
prepare() {
    kv kvm_amd_npt "$(cat /sys/module/kvm_amd/parameters/npt)"
    [ -c /dev/kvm ] || return 1
    [ -c /dev/net/tun ] || { mkdir -p /dev/net; mknod /dev/net/tun c 10 200; }
    brctl addbr br0
    ifconfig br0 10.77.0.1 netmask 255.255.255.0 up
    for t in tap0 tap1; do
        tunctl -t $t >/dev/null || return 1
        brctl addif br0 $t
        ifconfig $t 0.0.0.0 up
    done
    [ "$(arg rig.dmesg 0)" = 0 ] || dmesg
}
during() {
    mem during
    local p=$(pidof qemu-system-x86_64)
    # the mapping that is the guest's memory is told by its size
    awk -v want="$(arg rig.gmem 512)" '
        /^[0-9a-f]+-[0-9a-f]+ / { big = 0 }
        /^Size:/ { big = $2 >= want * 1024 }
        /^Rss:/ { if (big) g += $2; else o += $2 }
        /^Anonymous:/ { if (!big) v += $2 }
        END { print "RIGKV vmm_guestram_rss " g+0 " KiB"
              print "RIGKV vmm_other_rss " o+0 " KiB"
              print "RIGKV vmm_other_anon " v+0 " KiB" }' /proc/$p/smaps
}
# machine N MEMORY: the N-th guest as far as both are alike
machine() {
    local mach=$(arg rig.kvm.machine microvm,rtc=on) dev norom=
    case $mach in
        microvm*) dev=device;;
        *) dev=pci norom=,romfile=;;
    esac
    echo "-L /qemu -accel kvm -M $mach -cpu host -smp $GCPUS -m $2 -nodefaults -no-user-config -no-reboot \
        -display none -kernel /guest/vmlinuz -initrd /guest/initrd \
        -netdev tap,id=n0,ifname=tap$1,script=no,downscript=no,vhost=$(arg rig.kvm.vhost off) \
        -device virtio-net-$dev,netdev=n0,mac=52:54:00:00:00:0$1$norom"
}
run_guest() {
    local dev=pci drive=
    case $(arg rig.kvm.machine microvm) in microvm*) dev=device;; esac
    [ -z "$GDISK" ] || drive="-drive id=d0,if=none,file=$GDISK,format=raw,cache=none,aio=$(arg rig.kvm.aio threads) -device virtio-blk-$dev,drive=d0"
    [ "$(arg rig.two 0)" = 0 ] ||
        qemu-system-x86_64 $(machine 1 "$GPEERMEM") -serial file:/dev/console \
            -append "console=ttyS0 panic=-1 $(peer_words)" &
    rigtool stamp create
    rigtool ts /hook qemu-system-x86_64 $(machine 0 "$GMEM") -serial stdio \
        -append "console=ttyS0 panic=-1 rig.disk=/dev/vda $(guest_words)" $drive
}
