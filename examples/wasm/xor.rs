//! bit_xor(n) and fib(n), as xor.wat and fib.wat have them, in Rust:
//!
//!     rustc --target wasm32-unknown-unknown -O --crate-type=cdylib -o xor.wasm xor.rs

#[no_mangle]
pub extern "C" fn fib(n: i64) -> i64 {
    if n < 2 { n } else { fib(n - 1) + fib(n - 2) }
}

/// A state is a pointer to a number of its own.
#[no_mangle]
pub extern "C" fn bit_xor_init() -> *mut i64 {
    Box::into_raw(Box::new(0))
}

/// # Safety
/// The engine passes what `bit_xor_init` gave.
#[no_mangle]
pub unsafe extern "C" fn bit_xor_step(state: *mut i64, n: i64) {
    *state ^= n;
}

/// # Safety
/// As above.
#[no_mangle]
pub unsafe extern "C" fn bit_xor_inverse(state: *mut i64, n: i64) {
    *state ^= n;
}

/// # Safety
/// As above.
#[no_mangle]
pub unsafe extern "C" fn bit_xor_value(state: *mut i64) -> i64 {
    *state
}

/// # Safety
/// As above; the state is gone afterwards.
#[no_mangle]
pub unsafe extern "C" fn bit_xor_finalize(state: *mut i64) -> i64 {
    *Box::from_raw(state)
}
