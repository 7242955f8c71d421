//! Bytes from and to the outside, off the shards' turns.

mod output_error;
mod port;
mod writer;

pub use output_error::{OutputError, Problem};
pub use port::{WriteBuffer, WriterPort};
pub use writer::{
    FileWriter, PORT_BUFFERS_MAX, WRITE_BUFFER_BYTES, WRITER_PORTS_MAX, Wake, WriterMode,
};
