//! Finishes the filter's module: `spanmesh-finish-module IN OUT`.
//!
//! The Proxy-WASM SDK exports every callback of the ABI, and a proxy calls each one that a module
//! exports: for each body chunk, each trailer, each response. The filter has nothing to do in most
//! of them, so their exports go, and with them the code that only they reach.

use std::process::ExitCode;

use walrus::Module;

/// What the filter does something in, and what the ABI needs.
const KEPT: [&str; 14] = [
    "_initialize",
    "memory",
    "proxy_abi_version_0_2_1",
    "proxy_on_configure",
    "proxy_on_context_create",
    "proxy_on_delete",
    "proxy_on_done",
    "proxy_on_grpc_close",
    "proxy_on_grpc_receive",
    "proxy_on_log",
    "proxy_on_memory_allocate",
    "proxy_on_request_headers",
    "proxy_on_tick",
    "proxy_on_vm_start",
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [input, output] = arguments.as_slice() else {
        eprintln!("usage: spanmesh-finish-module IN OUT");
        return ExitCode::from(2);
    };
    match finish(input, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("spanmesh-finish-module: {error}");
            ExitCode::FAILURE
        }
    }
}

fn finish(input: &str, output: &str) -> Result<(), String> {
    let module = std::fs::read(input).map_err(|error| format!("{input} is not read: {error}"))?;
    let mut module = Module::from_buffer(&module)
        .map_err(|error| format!("{input} is no WebAssembly module: {error:#}"))?;
    keep_exports(&mut module)?;
    walrus::passes::gc::run(&mut module);
    std::fs::write(output, module.emit_wasm())
        .map_err(|error| format!("{output} is not written: {error}"))
}

/// Takes out every export that is not kept; each of those that are has to be there.
fn keep_exports(module: &mut Module) -> Result<(), String> {
    for name in KEPT {
        if module.exports.iter().all(|export| export.name != name) {
            return Err(format!(
                "the module does not export {name}; is it the filter?"
            ));
        }
    }
    let unused: Vec<_> = module
        .exports
        .iter()
        .filter(|export| !KEPT.contains(&export.name.as_str()))
        .map(walrus::Export::id)
        .collect();
    for export in unused {
        module.exports.delete(export);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use walrus::FunctionBuilder;

    use super::*;

    fn module(exports: &[&str]) -> Module {
        let mut module = Module::default();
        for name in exports {
            let mut builder = FunctionBuilder::new(&mut module.types, &[], &[]);
            builder.func_body().unreachable();
            let function = builder.finish(Vec::new(), &mut module.funcs);
            module.exports.add(name, function);
        }
        module
    }

    #[test]
    fn only_what_is_used_stays() {
        let mut exports = KEPT.to_vec();
        exports.extend(["proxy_on_response_headers", "proxy_on_request_body"]);
        let mut module = module(&exports);
        keep_exports(&mut module).unwrap();
        walrus::passes::gc::run(&mut module);
        assert_eq!(module.exports.iter().count(), KEPT.len());
        assert_eq!(module.funcs.iter().count(), KEPT.len());
    }

    #[test]
    fn another_module_is_refused() {
        let error = keep_exports(&mut module(&["memory"])).unwrap_err();
        assert!(error.contains("_initialize"), "{error}");
    }
}
