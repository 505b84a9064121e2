"""What agents may import: no module here opens a socket."""
