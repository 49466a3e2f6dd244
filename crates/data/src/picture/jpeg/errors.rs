//! Errors and warnings of the JPEG decoder. Its errors leave it by unwinding, which ends here.
use std::{
    cell::Cell,
    ffi::c_int,
    io,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    ptr,
};

use mozjpeg_sys::{jpeg_common_struct, jpeg_error_mgr};

thread_local! {
    /// Warnings about the image that this thread is decoding.
    static WARNINGS: Cell<usize> = const { Cell::new(0) };
}

/// What an error of the decoder unwinds with.
struct Failed;

/// What `decode` read, or `None` where the decoder failed or warned.
pub(super) fn caught<T>(decode: impl FnOnce() -> io::Result<T>) -> Option<T> {
    WARNINGS.set(0);
    let result = catch_unwind(AssertUnwindSafe(decode)).ok()?.ok()?;
    (WARNINGS.get() == 0).then_some(result)
}

/// Whether the decoder fails or warns in `finish`, which counts nowhere else.
pub(super) fn complains(finish: impl FnOnce() -> io::Result<()>) -> bool {
    let before = WARNINGS.get();
    let finished = catch_unwind(AssertUnwindSafe(finish)).is_ok_and(|finished| finished.is_ok());
    !finished || WARNINGS.replace(before) > before
}

/// The decoder's callbacks. Its messages are never made into text: it looks up none.
pub(super) fn manager() -> jpeg_error_mgr {
    jpeg_error_mgr {
        error_exit: Some(fail),
        emit_message: Some(count),
        output_message: Some(ignore),
        format_message: None,
        reset_error_mgr: Some(ignore),
        msg_code: 0,
        msg_parm: Default::default(),
        trace_level: 0,
        num_warnings: 0,
        jpeg_message_table: ptr::null(),
        last_jpeg_message: 0,
        addon_message_table: ptr::null(),
        first_addon_message: 0,
        last_addon_message: 0,
    }
}

extern "C-unwind" fn fail(_: &mut jpeg_common_struct) {
    // Not a panic: nothing is printed.
    resume_unwind(Box::new(Failed));
}

extern "C-unwind" fn count(_: &mut jpeg_common_struct, level: c_int) {
    // Traces have a level of 0 or more.
    if level < 0 {
        WARNINGS.set(WARNINGS.get().saturating_add(1));
    }
}

extern "C-unwind" fn ignore(_: &mut jpeg_common_struct) {}
