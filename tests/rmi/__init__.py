"""Tests of bankrmi.rmi, on real sockets."""
