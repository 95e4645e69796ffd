"""Protocols as sans-IO codecs: bytes in, messages out. Sockets and clocks belong to engines and servers."""
