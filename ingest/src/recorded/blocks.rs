//! A file of lines, cut into blocks of whole lines, so that blocks can be read on several threads. Knows nothing of
//! what stands in a line.

use std::io::{self, BufRead, Read};

/// Bytes read for a block. Small enough that a block and what is made of it stay in a processor's cache.
const BLOCK_BYTES: usize = 96 * 1024;

/// Whole lines; the last one of a file may lack its end.
#[derive(Debug, Default)]
pub(super) struct Block {
    pub bytes: Vec<u8>,
    /// Number of its first line, from 1.
    pub line: u64,
    /// Why there is nothing behind it.
    pub failed: Option<io::Error>,
}

/// The blocks of one file.
pub(super) struct Blocks {
    input: Box<dyn BufRead + Send>,
    /// The beginning of a line whose end has not been read.
    open: Vec<u8>,
    line: u64,
    longest: usize,
    ended: bool,
}

impl Blocks {
    /// Of a line longer than `longest` only so much is kept that it is seen to be so.
    pub(super) fn new(input: Box<dyn BufRead + Send>, longest: usize) -> Blocks {
        Blocks {
            input,
            open: Vec::new(),
            line: 1,
            longest,
            ended: false,
        }
    }

    /// Reads on until a line has ended.
    fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = std::mem::take(&mut self.open);
        loop {
            let before = bytes.len();
            bytes.resize(before + BLOCK_BYTES, 0);
            let read = self.input.read(&mut bytes[before..]);
            bytes.truncate(before + *read.as_ref().unwrap_or(&0));
            let end = bytes[before..].iter().rposition(|byte| *byte == b'\n');
            if let Some(end) = end {
                self.open = bytes.split_off(before + end + 1);
            }
            match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    // what stands before the damage counts, but no half line
                    bytes.truncate(end.map_or(0, |end| before + end + 1));
                    self.open = bytes;
                    return Err(error);
                }
                Ok(0) => {
                    self.ended = true;
                    return Ok(bytes);
                }
                Ok(_) if end.is_some() => return Ok(bytes),
                Ok(_) if bytes.len() > self.longest => {
                    bytes.truncate(self.longest + 1);
                    bytes.push(b'\n');
                    if let Err(error) = self.skip_line() {
                        self.open = bytes;
                        return Err(error);
                    }
                    return Ok(bytes);
                }
                Ok(_) => {}
            }
        }
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let available = self.input.fill_buf()?;
            if available.is_empty() {
                return Ok(());
            }
            let end = available.iter().position(|byte| *byte == b'\n');
            let bytes = end.map_or(available.len(), |end| end + 1);
            self.input.consume(bytes);
            if end.is_some() {
                return Ok(());
            }
        }
    }
}

impl Iterator for Blocks {
    type Item = Block;

    fn next(&mut self) -> Option<Block> {
        if self.ended {
            return None;
        }
        let (bytes, failed) = match self.read() {
            Ok(bytes) => (bytes, None),
            Err(error) => {
                self.ended = true;
                (std::mem::take(&mut self.open), Some(error))
            }
        };
        let line = self.line;
        self.line += line_ends(&bytes);
        (!bytes.is_empty() || failed.is_some()).then_some(Block {
            bytes,
            line,
            failed,
        })
    }
}

/// In pieces that a byte can count, which the processor adds many at a time.
fn line_ends(bytes: &[u8]) -> u64 {
    let count = |piece: &[u8]| {
        let ends = piece.iter().map(|byte| u8::from(*byte == b'\n'));
        u64::from(ends.fold(0, u8::wrapping_add))
    };
    bytes.chunks(255).map(count).sum()
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use proptest::prelude::*;

    use super::*;

    /// Gives a few bytes at a time, then perhaps fails.
    struct Dribble {
        bytes: Vec<u8>,
        at: usize,
        step: usize,
        fails: bool,
    }

    impl Read for Dribble {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let left = &self.bytes[self.at..];
            if left.is_empty() && self.fails {
                return Err(io::Error::other("damaged"));
            }
            let count = left.len().min(buffer.len()).min(self.step);
            buffer[..count].copy_from_slice(&left[..count]);
            self.at += count;
            Ok(count)
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn blocks_are_the_lines_of_the_file(
            lines in prop::collection::vec(prop_oneof![9 => 0..60_usize, 1 => 10_000..200_000_usize], 0..60),
            last in 0..40_usize,
            step in 1..100_000_usize,
            fails in any::<bool>(),
        ) {
            const LONGEST: usize = 30_000;
            let mut bytes = Vec::new();
            let mut wanted = Vec::new();
            let letter = |number: usize| b'a' + (number % 26) as u8;
            for (number, length) in lines.iter().enumerate() {
                let line = vec![letter(number); *length];
                bytes.extend(&line);
                bytes.push(b'\n');
                wanted.push((number as u64 + 1, line));
            }
            bytes.extend(vec![b'z'; last]);
            if last > 0 && !fails {
                wanted.push((lines.len() as u64 + 1, vec![b'z'; last]));
            }
            let input = Dribble { bytes, at: 0, step, fails };
            let mut blocks = Blocks::new(Box::new(BufReader::with_capacity(777, input)), LONGEST);
            let mut got = Vec::new();
            let mut failures = 0;
            for block in blocks.by_ref() {
                failures += usize::from(block.failed.is_some());
                let text = block.bytes.strip_suffix(b"\n").unwrap_or(&block.bytes);
                if block.bytes.is_empty() {
                    continue;
                }
                for (line, number) in text.split(|byte| *byte == b'\n').zip(block.line..) {
                    got.push((number, line.to_vec()));
                }
            }
            prop_assert_eq!(failures, usize::from(fails));
            prop_assert_eq!(blocks.line, lines.len() as u64 + 1);
            prop_assert_eq!(got.len(), wanted.len());
            for ((number, line), (wanted_number, wanted_line)) in got.into_iter().zip(wanted) {
                prop_assert_eq!(number, wanted_number);
                if wanted_line.len() <= LONGEST {
                    prop_assert_eq!(line, wanted_line);
                } else {
                    prop_assert!(line.len() > LONGEST, "{}", line.len());
                }
            }
        }
    }
}
