# Runs as the first process of namespaces of its own: makes the domain if it is new, starts its controller, and carries
# connections from the listeners that it was given, which belong to the network outside, to the controller's ports inside.
#
#   domain.py DIRECTORY PORT...      the listener for the n-th port is open as 3+n; the administrator's password comes on stdin
import asyncio
import fcntl
import logging
import os
import socket
import struct
import sys

from samba.auth import system_session
from samba.dsdb import DS_DOMAIN_FUNCTION_2008_R2
from samba.param import LoadParm
from samba.provision import provision


def bring_loopback_up():
    siocsifflags, iff_up = 0x8914, 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, siocsifflags, struct.pack("16sh22x", b"lo", iff_up))


def make_domain(conf, password):
    # Not samba-tool: it would give the folders that Windows reads over SMB their ACLs, which only the true root can.
    lp = LoadParm()
    lp.load(conf)
    provision(logging.getLogger(), system_session(lp), smbconf=conf, lp=lp, realm="AD.TEST", domain="ADT", hostname="dc1",
              hostip="127.0.0.1", adminpass=password, serverrole="active directory domain controller",
              dom_for_fun_level=DS_DOMAIN_FUNCTION_2008_R2, dns_backend="NONE", root="root", nobody="root", users="root")


async def pump(reader, writer):
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.close()  # what the other side was to get is lost


async def carry(reader, writer, port):
    try:
        inside_reader, inside_writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        writer.close()
        return
    await asyncio.gather(pump(reader, inside_writer), pump(inside_reader, writer))
    inside_writer.close()
    writer.close()


async def main(directory, ports):
    conf = os.path.join(directory, "smb.conf")
    # It is the unprivileged user's already, unless we are the true root: the controller wants it to be its own.
    os.chown(os.path.join(directory, "tls", "server.key"), os.geteuid(), os.getegid())
    for n, port in enumerate(ports):
        await asyncio.start_server(lambda r, w, port=port: carry(r, w, port), sock=socket.socket(fileno=3 + n))
    samba = await asyncio.create_subprocess_exec("samba", "-F", "--no-process-group", "-M", "single", "--debug-stdout", "-s", conf,
                                                 stdin=asyncio.subprocess.DEVNULL)
    return await samba.wait()


directory, ports = sys.argv[1], [int(p) for p in sys.argv[2:]]
bring_loopback_up()
make_domain(os.path.join(directory, "smb.conf"), sys.stdin.readline().rstrip("\n"))
sys.exit(asyncio.run(main(directory, ports)))
