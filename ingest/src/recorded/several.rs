//! Blocks read on several threads, and handed out in their order: one thread takes the file apart and deals the
//! blocks round, each of the others reads what it is dealt.

use std::io;
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use super::Batch;
use super::blocks::Block;

/// Blocks that wait for a busy thread, and batches that wait to be taken, of each thread.
const QUEUE: usize = 2;

/// Batches in the order of their blocks. The threads end soon after this is dropped.
pub(super) struct Several {
    batches: Vec<Receiver<Batch>>,
    next: usize,
    threads: Vec<JoinHandle<()>>,
}

/// Starts a thread for each of `readers`, and one for `blocks`.
///
/// # Errors
/// If the system gives no thread.
pub(super) fn read<R>(
    blocks: impl Iterator<Item = Block> + Send + 'static,
    readers: impl Iterator<Item = R>,
) -> io::Result<Several>
where
    R: FnMut(&Block) -> Batch + Send + 'static,
{
    let mut queues = Vec::new();
    let mut batches = Vec::new();
    let mut threads = Vec::new();
    for mut read in readers {
        let (queue, dealt) = sync_channel::<Block>(QUEUE);
        let (out, ready) = sync_channel(QUEUE);
        threads.push(spawn(move || {
            for block in dealt {
                if out.send(read(&block)).is_err() {
                    return;
                }
            }
        })?);
        queues.push(queue);
        batches.push(ready);
    }
    threads.push(spawn(move || deal(blocks, &queues))?);
    Ok(Several {
        batches,
        next: 0,
        threads,
    })
}

fn spawn(work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new()
        .name("recorded".to_owned())
        .spawn(work)
}

fn deal(blocks: impl Iterator<Item = Block>, queues: &[SyncSender<Block>]) {
    for (block, queue) in blocks.zip(queues.iter().cycle()) {
        if queue.send(block).is_err() {
            return;
        }
    }
}

impl Iterator for Several {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        // blocks are dealt in turn, so the first thread without one is behind the last block
        if let Ok(batch) = self.batches.get(self.next)?.recv() {
            self.next = (self.next + 1) % self.batches.len();
            return Some(batch);
        }
        self.batches.clear();
        for thread in self.threads.drain(..) {
            // a thread that panicked must not pass for the end of the file
            if let Err(panic) = thread.join() {
                resume_unwind(panic);
            }
        }
        None
    }
}
