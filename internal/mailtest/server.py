"""A mail server for tests: aiosmtpd (Debian: python3-aiosmtpd), which keeps what it is sent, as Python's own parser reads it.

Recipients with "refused" in their address are refused for good, those with "later" for now. While there is a file "mute" in
its folder it takes messages and hangs up without saying so; while there is a file "full" it takes none. A file "deliver" names the
folder of mailboxes (Maildir) into which messages go too, each recipient's by the part of the address before the @.
"""

import asyncio, email, email.policy, json, mailbox, os, signal, ssl, sys
from aiosmtpd.smtp import SMTP, AuthResult

folder, port, mode, user, password = sys.argv[1], int(sys.argv[2]), *sys.argv[3:6]


def there(name):
    return os.path.exists(os.path.join(folder, name))


class Handler:
    count = 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        if "refused" in address:
            return "550 5.1.1 There is no such mailbox"
        if "later" in address:
            return "451 4.2.0 Try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if there("full"):
            return "452 4.3.1 No room"
        m = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.count += 1
        kept = {
            "From": envelope.mail_from, "To": envelope.rcpt_tos, "Login": bool(session.authenticated), "TLS": server.transport.get_extra_info("cipher") is not None,
            "Headers": [[k, str(v)] for k, v in m.items()], "Defects": [str(d) for d in m.defects],
            "Parts": sum(1 for _ in m.walk()), "Text": m.get_content().replace("\r\n", "\n") if m.get_content_maintype() == "text" else "", "Raw": envelope.content.decode("utf-8", "replace"),
        }
        for h in ("from", "to"):
            kept["Header" + h.capitalize()] = [[a.display_name, a.addr_spec] for a in m[h].addresses]
        path = os.path.join(folder, "%06d-%d.json" % (self.count, os.getpid()))
        with open(path + ".tmp", "w") as f:
            json.dump(kept, f)
        os.rename(path + ".tmp", path)
        if there("deliver"):
            with open(os.path.join(folder, "deliver")) as f:
                boxes = f.read()
            for to in envelope.rcpt_tos:
                mailbox.Maildir(os.path.join(boxes, to.split("@")[0].lower()), create=True).add(envelope.content)
        if there("mute"):
            server.transport.abort()
        return "250 2.0.0 Kept"


def authenticate(server, session, envelope, mechanism, data):
    return AuthResult(success=(data.login, data.password) == (user.encode(), password.encode()))


async def main():
    handler = Handler()
    options = dict(hostname="mail.example.test", enable_SMTPUTF8=True, authenticator=authenticate, auth_required=bool(user))
    context = None
    if mode != "none":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(os.path.join(folder, "server.pem"), os.path.join(folder, "server.key"))
    if mode == "starttls":
        options.update(tls_context=context, require_starttls=True)
    else:
        options.update(auth_require_tls=False)
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for s in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(s, stop.set)
    listener = await loop.create_server(lambda: SMTP(handler, loop=loop, **options), "127.0.0.1", port, ssl=context if mode == "implicit" else None)
    await stop.wait()
    listener.close()


asyncio.run(main())
