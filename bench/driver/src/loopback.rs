//! How fast this machine moves frames from one thread to another over loopback TCP, received by the same code as those
//! of the collector: what no server can be faster than.

use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Instant;

use serde_json::{Value, json};

use super::LoopbackArgs;
use super::wire::Wire;

pub(crate) fn run(args: &LoopbackArgs) -> anyhow::Result<Value> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let stream = TcpStream::connect(listener.local_addr()?)?;
    let mut receiver = Wire::of(listener.accept()?.0);
    let frames = args.bytes.div_ceil(args.frame_bytes as u64);
    let mut frame = vec![7; args.frame_bytes + 4];
    let length = i32::try_from(args.frame_bytes)?.to_be_bytes();
    frame.splice(..4, length);

    let started = Instant::now();
    let sender = thread::spawn(move || {
        let mut sender = Wire::of(stream);
        (0..frames).try_for_each(|_| sender.send(&frame))
    });
    let mut buffer = Vec::new();
    for _ in 0..frames {
        buffer = receiver.receive(buffer)?;
    }
    let seconds = started.elapsed().as_secs_f64();
    sender.join().map_err(|_| anyhow::anyhow!("the sender panicked"))??;
    Ok(json!({ "bytes": frames * args.frame_bytes as u64, "seconds": seconds }))
}
