//! The part of cubecl-llvm's interface that cubecl-cuda needs to compile, without LLVM.
//!
//! cubecl-cuda compiles both of its backends and picks one by a feature; its LLVM backend downloads LLVM while it is
//! built. With this crate in its place and the feature `cpp` of cubecl-cuda, kernels are C++ that NVRTC compiles at run
//! time, and nothing here is called; where something is, it says so.

/// What the LLVM backend would compile for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LlvmTarget {
    /// NVIDIA GPUs.
    Nvptx,
}

/// The LLVM backend, absent.
#[derive(Clone, Debug)]
pub struct PlironCompiler {
    /// What it would compile for.
    pub target: LlvmTarget,
}

/// Options of the LLVM backend.
#[derive(Clone, Debug, Default)]
pub struct PlironOptions {
    /// An AMD architecture; never set by cubecl-cuda.
    pub arch: Option<()>,
    /// An NVIDIA architecture.
    pub sm_arch: Option<cubecl_core::ir::nvidia::SmArch>,
    /// The PTX version to emit.
    pub ptx_version: Option<nvptx::ptx_version::PtxVersion>,
    /// How scalars are passed.
    pub grid_constants: bool,
}

/// A compiled kernel.
#[derive(Clone, Debug)]
pub struct NvptxModule {
    /// PTX assembly.
    pub ptx: Vec<core::ffi::c_char>,
    /// Kernel entry point.
    pub entrypoint: String,
    /// For logs.
    pub ir: String,
    /// Bytes per launch.
    pub shared_memory_size: usize,
    /// Access modes in binding order.
    pub io: Vec<cubecl_server::kernel::BufferIOAttr>,
}

/// What the LLVM backend compiles to.
#[derive(Clone, Debug)]
pub enum PlironArtifact {
    /// For NVIDIA GPUs.
    NvptxCode(NvptxModule),
    /// For others.
    Other,
}

impl PlironCompiler {
    /// Refuses.
    ///
    /// # Errors
    /// Always: this build has no LLVM.
    pub fn compile(
        &mut self,
        _: cubecl_core::prelude::KernelDefinition,
        _: &PlironOptions,
    ) -> Result<PlironArtifact, cubecl_server::compiler::CompilationError> {
        Err(cubecl_server::compiler::CompilationError::Generic {
            reason: "built without LLVM: build with the feature cubecl/cuda-cpp, so that kernels go through NVRTC"
                .to_owned(),
            backtrace: Default::default(),
        })
    }

    /// As the LLVM backend names its output.
    pub fn lang_tag(&self) -> &'static str {
        "llvm"
    }
}

/// Names that cubecl-cuda looks for here.
pub mod nvptx {
    /// PTX versions.
    pub mod ptx_version {
        use core::fmt;

        /// A PTX version; this build emits none.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum PtxVersion {}

        impl PtxVersion {
            /// None: NVRTC chooses its own.
            pub fn for_driver(_: i32) -> Option<Self> {
                None
            }
        }

        impl fmt::Display for PtxVersion {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                match *self {}
            }
        }
    }
}

/// Names that cubecl-cuda looks for here.
pub mod shared {
    /// What the LLVM backend can do on a device.
    pub mod lowered_features {
        /// The device's kind.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum GpuTarget {
            /// NVIDIA.
            Nvptx,
        }

        /// Nothing to restrict: the LLVM backend is not used.
        pub fn restrict_features(_: &mut cubecl_core::ir::DeviceProperties, _: GpuTarget) {}
    }
}
