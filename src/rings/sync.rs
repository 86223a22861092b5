//! What the rings are built from: the atomics, cells and threads of the standard library, or those of loom,
//! which tries the orders of events that the memory model allows (`scripts/test-rings`).
//!
//! The cells have loom's interface: a pointer taken from one lives as long as the access does, so that
//! loom sees two accesses that overlap. With the standard library they are bare pointers and cost nothing.
#![allow(unsafe_code)]

#[cfg(loom)]
pub(super) use loom::{
    cell::{ConstPtr, MutPtr, UnsafeCell},
    hint::spin_loop,
    sync::Arc,
    sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
    thread::{Thread, current, yield_now},
};
#[cfg(not(loom))]
pub(super) use std::{
    hint::spin_loop,
    sync::Arc,
    sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
    thread::{Thread, current, park_timeout, yield_now},
};

/// Never wakes by itself: a wake-up that is lost shows as a deadlock.
#[cfg(loom)]
pub(super) fn park_timeout(_limit: std::time::Duration) {
    loom::thread::park();
}

/// A value on cache lines of its own: two lines of 64 bytes, since x86 fetches them in pairs and Apple's are 128.
#[repr(align(128))]
pub(super) struct Line<T>(pub(super) T);

#[cfg(not(loom))]
pub(super) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

#[cfg(not(loom))]
impl<T> UnsafeCell<T> {
    pub(super) fn new(value: T) -> Self {
        UnsafeCell(std::cell::UnsafeCell::new(value))
    }

    pub(super) fn get(&self) -> ConstPtr<T> {
        ConstPtr(self.0.get())
    }

    pub(super) fn get_mut(&self) -> MutPtr<T> {
        MutPtr(self.0.get())
    }
}

/// For reading.
#[cfg(not(loom))]
pub(super) struct ConstPtr<T>(*const T);

#[cfg(not(loom))]
impl<T> ConstPtr<T> {
    // SAFETY: the caller keeps the cell alive, and nobody writes to it, as long as the reference lives.
    pub(super) unsafe fn deref(&self) -> &T {
        // SAFETY: the pointer comes from a cell, and the caller promises the rest.
        unsafe { &*self.0 }
    }
}

/// For writing.
#[cfg(not(loom))]
pub(super) struct MutPtr<T>(*mut T);

#[cfg(not(loom))]
impl<T> MutPtr<T> {
    // SAFETY: the caller keeps the cell alive, and nobody else looks at it, as long as the reference lives.
    #[allow(clippy::mut_from_ref)] // As loom has it.
    pub(super) unsafe fn deref(&self) -> &mut T {
        // SAFETY: the pointer comes from a cell, and the caller promises the rest.
        unsafe { &mut *self.0 }
    }
}
