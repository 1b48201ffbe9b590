//! Tells the service manager how the process is (sd_notify(3)): one datagram to a socket that it names.

use crate::errors::{Outcome, check, last_errno};

/// Sends `text` to the socket `path` (`@...` is an abstract one). EINVAL: no path, or too long. ENOENT,
/// ECONNREFUSED: nobody listens there.
pub fn notify(path: &[u8], text: &[u8]) -> Outcome<i32> {
    // SAFETY: an all-zero address is an empty one.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    let is_name = matches!(path.first(), Some(b'/' | b'@')) && path.len() > 1;
    if !is_name || path.len() >= address.sun_path.len() {
        return Err(libc::EINVAL);
    }
    for (target, byte) in address.sun_path.iter_mut().zip(path) {
        *target = *byte as libc::c_char;
    }
    if path[0] == b'@' {
        address.sun_path[0] = 0;
    }
    let length = std::mem::offset_of!(libc::sockaddr_un, sun_path) + path.len();
    // SAFETY: an initialised address of the length given, and our descriptor.
    unsafe {
        let fd = check(libc::socket(libc::AF_UNIX, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0))?;
        let sent = libc::sendto(
            fd,
            text.as_ptr().cast(),
            text.len(),
            libc::MSG_NOSIGNAL,
            (&raw const address).cast(),
            length as libc::socklen_t,
        );
        let result = if sent < 0 { Err(last_errno()) } else { Ok(0) };
        libc::close(fd);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    #[test]
    fn a_text_arrives_at_a_path_and_at_an_abstract_name() {
        let name = format!("gregor-notify-{}", std::process::id());
        let file = std::env::temp_dir().join(&name);
        let _ = std::fs::remove_file(&file);
        let at_path = UnixDatagram::bind(&file);
        let abstract_name = SocketAddr::from_abstract_name(&name);
        let at_name = abstract_name.and_then(|name| UnixDatagram::bind_addr(&name));
        for (socket, path) in
            [(at_path, file.to_string_lossy().into_owned()), (at_name, format!("@{name}"))]
        {
            assert_eq!(notify(path.as_bytes(), b"READY=1"), Ok(0));
            let mut buffer = [0; 16];
            let received = socket.and_then(|socket| socket.recv(&mut buffer));
            assert!(received.is_ok_and(|length| &buffer[..length] == b"READY=1"));
        }
        let _ = std::fs::remove_file(&file);
        assert_eq!(notify(file.to_string_lossy().as_bytes(), b"x"), Err(libc::ENOENT));
        assert_eq!(notify(b"relative", b"x"), Err(libc::EINVAL));
        assert_eq!(notify(b"", b"x"), Err(libc::EINVAL));
    }
}
