"""A real mail server for tests: STARTTLS with the given certificate, AUTH, every message as one line of JSON in a file.

smtpd.py PORT MAILS CERTIFICATE KEY USER PASSWORD [plain]; ends with its standard input. With `plain` it offers neither
STARTTLS nor AUTH.
"""

import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

port, mails, certificate, key, user, password = sys.argv[1:7]
plain = sys.argv[7:] == ["plain"]


class Inbox:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody"):
            return "550 5.1.1 no such mailbox"
        if address.startswith("busy"):
            return "451 4.3.0 try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        attached = [part for part in message.iter_attachments()]
        line = {
            "from": envelope.mail_from,
            "rcpt": envelope.rcpt_tos,
            "tls": session.ssl is not None,
            "login": session.authenticated,
            "header": {name.lower(): str(value) for name, value in message.items()},
            "raw_subject": envelope.content.split(b"Subject:")[1].split(b"\r\n")[0].decode("ascii"),
            "plain": message.get_body(("plain",)).get_content(),
            "html": message.get_body(("html",)).get_content(),
            "attached": [[part.get_content_type(), part.get_filename(), part.get_payload(decode=True).decode()] for part in attached],
        }
        with open(mails, "a") as out:
            out.write(json.dumps(line) + "\n")
        return "250 queued as 7"


def authenticate(server, session, envelope, mechanism, data):
    good = isinstance(data, LoginPassword) and (data.login, data.password) == (user.encode(), password.encode())
    return AuthResult(success=good, handled=False)


options = {}
if not plain:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    options = dict(tls_context=context, require_starttls=True, auth_required=True, authenticator=authenticate)
controller = Controller(Inbox(), hostname="127.0.0.1", port=int(port), **options)
controller.start()
sys.stdin.read()
controller.stop()
