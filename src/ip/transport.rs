//! Between the way of a packet and the sockets: replaced as soon as the real glue lands.
use crate::{
    base::*,
    kernel::Kernel,
    wire::{Frame, IpHeader},
};
use std::net::IpAddr;
impl Kernel {
    pub(crate) fn udp_input(&mut self, _ns: NsId, _dev: DevId, _ip: IpHeader, _frame: Frame, _to_one: bool) {}
    pub(crate) fn tcp_input(&mut self, _ns: NsId, _dev: DevId, _ip: IpHeader, _frame: Frame) {}
    pub(crate) fn raw_input(&mut self, _ns: NsId, _dev: DevId, _ip: &IpHeader, _frame: &Frame) -> bool {
        false
    }
    pub(crate) fn ping_input(&mut self, _ns: NsId, _dev: DevId, _ip: IpHeader, _frame: Frame) {}
    pub(crate) fn socket_error(
        &mut self,
        _ns: NsId,
        _dev: DevId,
        _offender: IpAddr,
        _inner: &IpHeader,
        _tuple: Tuple,
        _kind: u8,
        _code: u8,
        _mtu: u32,
        _quoted: &[u8],
    ) -> bool {
        false
    }
    pub(crate) fn socket_matches(&self, _ns: NsId, _tuple: Tuple) -> bool {
        false
    }
    pub(crate) fn tcp_reset(&mut self, _ns: NsId, _ip: &IpHeader, _frame: &Frame) {}
    pub(crate) fn socket_timer(&mut self, _id: SockId) {}
    pub(crate) fn flush_sockets(&mut self) {}
    pub(crate) fn close_sockets_of(&mut self, _ns: NsId, _a: AppId) {}
}
