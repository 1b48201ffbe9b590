//! Calls on sockets that the ring does not make.

use crate::errors::{Outcome, check, last_errno};
use std::net::{SocketAddr, ToSocketAddrs};

/// Connections that may wait to be accepted (the kernel cuts it to net.core.somaxconn).
const BACKLOG: i32 = 4096;

/// Listens on `host`:`port` (0 = any free one); returns the descriptor. Accepted connections inherit
/// TCP_NODELAY and SO_KEEPALIVE. EADDRINUSE, EADDRNOTAVAIL, EACCES (low port), ENOENT (the name does not resolve).
pub fn listen(host: &str, port: u16) -> Outcome<i32> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let mut found = (bare, port).to_socket_addrs().map_err(|_| libc::ENOENT)?;
    let address = found.next().ok_or(libc::ENOENT)?;
    let fd = socket_of(&address)?;
    set_option(fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)
        .and_then(|_| set_option(fd, libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1))
        .and_then(|_| set_nodelay(fd))
        .and_then(|_| {
            let (storage, length) = raw(&address);
            // SAFETY: an initialised address of the length given.
            check(unsafe { libc::bind(fd, (&raw const storage).cast(), length) })
        })
        // SAFETY: plain call on our descriptor.
        .and_then(|_| check(unsafe { libc::listen(fd, BACKLOG) }))
        .inspect_err(|_| {
            // SAFETY: our descriptor, not yet given to anyone.
            unsafe { libc::close(fd) };
        })?;
    Ok(fd)
}

/// A socket fit to connect to `text` (`1.2.3.4:5` or `[::1]:5`). EINVAL: not a numeric address.
pub fn socket_for(text: &str) -> Outcome<i32> {
    let fd = socket_of(&text.parse().map_err(|_| libc::EINVAL)?)?;
    set_nodelay(fd).inspect_err(|_| {
        // SAFETY: our descriptor, not yet given to anyone.
        unsafe { libc::close(fd) };
    })?;
    Ok(fd)
}

/// The kernel's form of a numeric address. EINVAL: not one.
pub fn socket_address(text: &str) -> Outcome<(libc::sockaddr_storage, libc::socklen_t)> {
    Ok(raw(&text.parse().map_err(|_| libc::EINVAL)?))
}

/// Numeric addresses of `host` and `port`, the first that is found; blocks on the resolver.
/// ENOENT: it does not resolve.
pub fn resolve(host: &str, port: u16) -> Outcome<String> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let mut found = (bare, port).to_socket_addrs().map_err(|_| libc::ENOENT)?;
    found.next().map(|address| address.to_string()).ok_or(libc::ENOENT)
}

fn socket_of(address: &SocketAddr) -> Outcome<i32> {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    // SAFETY: plain call.
    check(unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) })
}

fn raw(address: &SocketAddr) -> (libc::sockaddr_storage, libc::socklen_t) {
    // SAFETY: all-zero is a valid storage; each branch writes the structure of its own family,
    // which storage is large and aligned enough for.
    unsafe {
        let mut storage: libc::sockaddr_storage = std::mem::zeroed();
        let length = match address {
            SocketAddr::V4(v4) => {
                let target = (&raw mut storage).cast::<libc::sockaddr_in>();
                (*target).sin_family = libc::AF_INET as libc::sa_family_t;
                (*target).sin_port = v4.port().to_be();
                (*target).sin_addr.s_addr = u32::from_ne_bytes(v4.ip().octets());
                size_of::<libc::sockaddr_in>()
            }
            SocketAddr::V6(v6) => {
                let target = (&raw mut storage).cast::<libc::sockaddr_in6>();
                (*target).sin6_family = libc::AF_INET6 as libc::sa_family_t;
                (*target).sin6_port = v6.port().to_be();
                (*target).sin6_addr.s6_addr = v6.ip().octets();
                (*target).sin6_scope_id = v6.scope_id();
                size_of::<libc::sockaddr_in6>()
            }
        };
        (storage, length as libc::socklen_t)
    }
}

fn set_option(fd: i32, level: i32, name: i32, value: i32) -> Outcome<i32> {
    // SAFETY: reads an int from a local.
    check(unsafe {
        libc::setsockopt(fd, level, name, (&raw const value).cast(), size_of::<i32>() as u32)
    })
}

/// Sends small segments at once.
pub fn set_nodelay(fd: i32) -> Outcome<i32> {
    set_option(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)
}

/// The bytes that must have come before a poll calls the socket readable (SO_RCVLOWAT; less when its
/// buffer or window is full, or the peer has ended). Lowering it wakes a receive that waits for bytes that are there.
pub fn set_low_water(fd: i32, bytes: i32) -> Outcome<i32> {
    set_option(fd, libc::SOL_SOCKET, libc::SO_RCVLOWAT, bytes)
}

/// How long sent bytes may stay unconfirmed before the connection ends (TCP_USER_TIMEOUT).
pub fn set_confirm_ms(fd: i32, ms: i32) -> Outcome<i32> {
    set_option(fd, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, ms)
}

/// Ends both directions of a connection at once; what is in flight on it completes. ENOTCONN.
///
/// Not an operation of the ring: the kernel runs that one on a thread of its own, which looks the
/// descriptor up when it gets there, after a close and a new connection with the same number.
pub fn shutdown(fd: i32) -> Outcome<i32> {
    // SAFETY: plain call; a bad descriptor yields EBADF.
    check(unsafe { libc::shutdown(fd, libc::SHUT_RDWR) })
}

/// The port that a socket is bound to.
pub fn local_port(fd: i32) -> Outcome<i32> {
    // SAFETY: the buffer is as long as its length says; the port is at the same place in both families.
    unsafe {
        let mut storage: libc::sockaddr_storage = std::mem::zeroed();
        let mut length = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
        if libc::getsockname(fd, (&raw mut storage).cast(), &mut length) != 0 {
            return Err(last_errno());
        }
        Ok(i32::from(u16::from_be((*(&raw const storage).cast::<libc::sockaddr_in>()).sin_port)))
    }
}

/// The other end of a connection, as text (for logs and ACLs). ENOTCONN.
pub fn peer(fd: i32) -> Outcome<String> {
    // SAFETY: the buffer is as long as its length says; the family defines which structure it holds.
    unsafe {
        let mut storage: libc::sockaddr_storage = std::mem::zeroed();
        let mut length = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
        if libc::getpeername(fd, (&raw mut storage).cast(), &mut length) != 0 {
            return Err(last_errno());
        }
        if i32::from(storage.ss_family) == libc::AF_INET {
            let v4 = &*(&raw const storage).cast::<libc::sockaddr_in>();
            let ip = std::net::Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
            return Ok(SocketAddr::from((ip, u16::from_be(v4.sin_port))).to_string());
        }
        let v6 = &*(&raw const storage).cast::<libc::sockaddr_in6>();
        let ip = std::net::Ipv6Addr::from(v6.sin6_addr.s6_addr);
        Ok(SocketAddr::from((ip.to_canonical(), u16::from_be(v6.sin6_port))).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listens_on_a_free_port_of_each_family_and_refuses_a_taken_one() {
        for host in ["127.0.0.1", "::1", "[::1]", "localhost"] {
            let Ok(fd) = listen(host, 0) else {
                assert!(host.contains("::1"), "a machine without IPv6 still has {host}");
                continue;
            };
            let port = local_port(fd).unwrap_or(0);
            assert!(port > 0);
            assert_eq!(listen(host, port as u16), Err(libc::EADDRINUSE));
            // SAFETY: our descriptor.
            unsafe { libc::close(fd) };
        }
        assert_eq!(listen("no-such-host.invalid", 0), Err(libc::ENOENT));
        assert_eq!(socket_for("localhost:1").err(), Some(libc::EINVAL));
    }
}
