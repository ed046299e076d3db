"""A mail server that takes everything and, when it is told to end, says how many mails came."""

import signal
import sys

from aiosmtpd.controller import Controller


class Mailbox:
    count = 0

    async def handle_DATA(self, server, session, envelope):
        self.count += 1
        return "250 taken"


ENDS = {signal.SIGTERM, signal.SIGINT}
signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
mailbox = Mailbox()
controller = Controller(mailbox, hostname="127.0.0.1", port=int(sys.argv[1]))
controller.start()
signal.sigwait(ENDS)
controller.stop()
print(f"mails: {mailbox.count}", flush=True)
