//! Writes the generated code: `stubs PROTO_DIR OUT_DIR`. The compiler of the protos is a library, so nothing has to
//! be installed beside Cargo.

use std::{env, error::Error, path::PathBuf};

const PROTOS: [&str; 3] =
    ["sessiongateway/v1/apps.proto", "sessiongateway/v1/errors.proto", "sessiongateway/v1/sessions.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [protos, out] = arguments.as_slice() else {
        return Err("usage: stubs PROTO_DIR OUT_DIR".into());
    };
    let mut compiler = protox::Compiler::new([protos])?;
    compiler.include_source_info(true).include_imports(true).open_files(PROTOS)?;
    tonic_prost_build::configure()
        .out_dir(out)
        .build_transport(true)
        // Only whoever asks for it compiles a server.
        .server_mod_attribute("sessiongateway.v1", "#[cfg(feature = \"server\")]")
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
