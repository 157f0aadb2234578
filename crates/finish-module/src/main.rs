//! Finishes the filter's module: `spanmesh-finish-module IN OUT`.
//!
//! The Proxy-WASM SDK exports every callback of the ABI, and a proxy calls each one that a module
//! exports: for each body chunk, each trailer, each response. The filter has nothing to do in most
//! of them, so their exports go, and with them the code that only they reach. A few callbacks the
//! filter takes itself, past the SDK; it exports them as `spanmesh_on_…`, since two functions of one
//! name would not link, and here they take the places of the SDK's.

use std::process::ExitCode;

use walrus::Module;

/// What the filter does something in, and what the ABI needs.
const KEPT: [&str; 11] = [
    "_initialize",
    "memory",
    "proxy_abi_version_0_2_1",
    "proxy_on_configure",
    "proxy_on_context_create",
    "proxy_on_delete",
    "proxy_on_done",
    "proxy_on_log",
    "proxy_on_request_headers",
    "proxy_on_tick",
    "proxy_on_vm_start",
];

/// What the filter takes itself: its name there, and its name in the ABI.
const REPLACED: [(&str, &str); 4] = [
    ("spanmesh_on_grpc_close", "proxy_on_grpc_close"),
    ("spanmesh_on_grpc_receive", "proxy_on_grpc_receive"),
    (
        "spanmesh_on_http_call_response",
        "proxy_on_http_call_response",
    ),
    ("spanmesh_on_memory_allocate", "proxy_on_memory_allocate"),
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

/// Takes out every export that is not kept, and renames those that replace one; each of them has
/// to be there.
fn keep_exports(module: &mut Module) -> Result<(), String> {
    let replacing = REPLACED.map(|(own, _)| own);
    for name in KEPT.into_iter().chain(replacing) {
        if module.exports.iter().all(|export| export.name != name) {
            return Err(format!(
                "the module does not export {name}; is it the filter?"
            ));
        }
    }
    let unused: Vec<_> = module
        .exports
        .iter()
        .filter(|export| {
            let name = export.name.as_str();
            !KEPT.contains(&name) && !replacing.contains(&name)
        })
        .map(walrus::Export::id)
        .collect();
    for export in unused {
        module.exports.delete(export);
    }
    for export in module.exports.iter_mut() {
        let replaced = REPLACED.iter().find(|(own, _)| *own == export.name);
        if let Some((_, name)) = replaced {
            export.name = (*name).to_owned();
        }
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
        exports.extend(REPLACED.iter().flat_map(|(own, name)| [own, name]));
        let mut module = module(&exports);
        keep_exports(&mut module).unwrap();
        walrus::passes::gc::run(&mut module);
        let expected = KEPT.len() + REPLACED.len();
        assert_eq!(module.exports.iter().count(), expected);
        assert_eq!(module.funcs.iter().count(), expected);
    }

    #[test]
    fn what_the_filter_takes_itself_has_the_abis_name() {
        let mut exports = KEPT.to_vec();
        exports.extend(REPLACED.iter().flat_map(|(own, name)| [own, name]));
        let mut module = module(&exports);
        let function = |module: &Module, name: &str| module.exports.get_func(name).unwrap();
        let own = REPLACED.map(|(own, _)| function(&module, own));
        keep_exports(&mut module).unwrap();
        assert_eq!(REPLACED.map(|(_, name)| function(&module, name)), own);
    }

    #[test]
    fn another_module_is_refused() {
        let error = keep_exports(&mut module(&["memory"])).unwrap_err();
        assert!(error.contains("_initialize"), "{error}");
    }
}
