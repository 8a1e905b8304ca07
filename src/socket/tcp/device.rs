//! smoltcp's view of the wire: one packet in, any number out.

use super::engine::Tx;
use smoltcp::{
    phy::{Checksum, Device, DeviceCapabilities, Medium, RxToken, TxToken},
    time::Instant,
};

/// A device that holds at most one received packet and hands outgoing ones to a [`Tx`].
pub(super) struct Wire<'w, 't> {
    pub(super) rx: Option<&'w [u8]>,
    pub(super) tx: &'w mut Tx<'t>,
    pub(super) mtu: usize,
}

pub(super) struct Received<'a>(&'a [u8]);

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

pub(super) struct Sending<'a, 't>(&'a mut Tx<'t>);

impl TxToken for Sending<'_, '_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        self.0.emit(len, f)
    }
}

impl<'t> Device for Wire<'_, 't> {
    type RxToken<'a>
        = Received<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Sending<'a, 't>
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Received<'_>, Sending<'_, 't>)> {
        self.rx.take().map(|b| (Received(b), Sending(self.tx)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sending<'_, 't>> {
        Some(Sending(self.tx))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        capabilities(self.mtu)
    }
}

/// What an interface is created with, before there is anything to send.
pub(super) struct Blueprint {
    pub(super) mtu: usize,
}

/// A token that is never made.
pub(super) enum Never {}

impl RxToken for Never {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, _: F) -> R {
        match self {}
    }
}

impl TxToken for Never {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, _: usize, _: F) -> R {
        match self {}
    }
}

impl Device for Blueprint {
    type RxToken<'a> = Never;
    type TxToken<'a> = Never;

    fn receive(&mut self, _: Instant) -> Option<(Never, Never)> {
        None
    }

    fn transmit(&mut self, _: Instant) -> Option<Never> {
        None
    }

    fn capabilities(&self) -> DeviceCapabilities {
        capabilities(self.mtu)
    }
}

fn capabilities(mtu: usize) -> DeviceCapabilities {
    let mut c = DeviceCapabilities::default();
    c.medium = Medium::Ip;
    c.max_transmission_unit = mtu;
    // Checksums are written here; on the way in the caller verifies them where they can be wrong.
    c.checksum.ipv4 = Checksum::Tx;
    c.checksum.tcp = Checksum::Tx;
    c
}
