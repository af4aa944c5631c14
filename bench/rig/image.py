# SPDX-License-Identifier: MIT
"""Initial RAM disks: files, programs with their libraries, kernel modules with their dependencies, as a cpio archive."""
import os, re, shutil, subprocess

from . import paths

LIBRARIES = "/usr/lib/x86_64-linux-gnu/"


class Image:
    """A folder that becomes an archive which is the same for the same content."""

    def __init__(self, name):
        self.name = name
        self.dir = os.path.join(paths.CACHE, "stage", name)
        shutil.rmtree(self.dir, ignore_errors=True)
        for d in ("dev", "proc", "sys", "m", "etc"):
            os.makedirs(os.path.join(self.dir, d))

    def path(self, name):
        p = os.path.join(self.dir, name.lstrip("/"))
        os.makedirs(os.path.dirname(p), exist_ok=True)
        return p

    def text(self, name, text):
        with open(self.path(name), "w") as f:
            f.write(text)

    def put(self, source, name, mode=None):
        out = self.path(name)
        shutil.copyfile(source, out)
        os.chmod(out, mode if mode is not None else os.stat(source).st_mode & 0o777)

    def put_program(self, source, name, root=None):
        """A dynamic program and the libraries it loads, from below `root` where they are there."""
        self.put(source, name, 0o755)
        env = dict(os.environ)
        if root:
            env["LD_LIBRARY_PATH"] = ":".join(root + p for p in (LIBRARIES, "/lib/x86_64-linux-gnu"))
        out = subprocess.run(["ldd", source], env=env, capture_output=True, text=True).stdout
        if "not found" in out:
            paths.fail("%s lacks a library:\n%s" % (source, out))
        for library in re.findall(r"(?:=> )?(/\S+) \(0x", out):
            at = library[len(root):] if root and library.startswith(root) else library
            at = "/" + os.path.normpath(at).lstrip("/")
            if not at.startswith("/lib64"):
                at = LIBRARIES + os.path.basename(at)
            self.put(os.path.realpath(library), at, 0o755)
        # pthread_cancel loads this one by name
        unwinder = "/lib/x86_64-linux-gnu/libgcc_s.so.1"
        if os.path.exists(unwinder):
            self.put(os.path.realpath(unwinder), LIBRARIES + "libgcc_s.so.1", 0o755)

    def put_modules(self, version, names, extra=()):
        """Modules without debugging information, and /modules.list in the order to load them."""
        lines = []
        for module in module_files(version, names) + list(extra):
            base = os.path.basename(module)
            subprocess.run(["strip", "--strip-debug", "-o", self.path("m/" + base), module], check=True)
            lines.append("/m/" + base + "\n")
        self.text("modules.list", "".join(lines))

    def put_busybox(self):
        self.put("/bin/busybox", "/bin/busybox", 0o755)
        applets = subprocess.run(["/bin/busybox", "--list"], capture_output=True, text=True, check=True).stdout
        for applet in applets.split():
            if applet != "busybox":
                os.symlink("busybox", self.path("bin/" + applet))

    def write(self, out):
        names = []
        for base, dirs, files in os.walk(self.dir):
            for n in dirs + files:
                os.utime(os.path.join(base, n), (0, 0), follow_symlinks=False)
                names.append(os.path.relpath(os.path.join(base, n), self.dir))
        os.utime(self.dir, (0, 0))
        with open(out + ".tmp", "wb") as f:
            subprocess.run(["cpio", "-o", "-H", "newc", "--quiet", "--reproducible", "-R", "0:0"],
                           input="\n".join(sorted(names)).encode(), stdout=f, cwd=self.dir, check=True)
        os.rename(out + ".tmp", out)


def module_files(version, names):
    """The files of the modules and of what they depend on, in load order."""
    index = {}
    for d, _, files in os.walk(os.path.join(paths.ROOT, "lib/modules", version, "kernel")):
        for f in files:
            if f.endswith(".ko"):
                index[f[:-3].replace("-", "_")] = os.path.join(d, f)
    order = []

    def add(name):
        path = index.get(name.replace("-", "_")) or paths.fail("no module %s for %s" % (name, version))
        if path in order:
            return
        with open(path, "rb") as f:
            depends = re.search(rb"\0depends=([^\0]*)\0", f.read())
        for d in (depends.group(1).decode() if depends else "").split(","):
            if d:
                add(d)
        order.append(path)

    for n in names:
        add(n)
    return order
