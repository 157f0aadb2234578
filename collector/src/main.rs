//! The command line of the collector.
#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use spanmesh_collector::config::Form;
use spanmesh_collector::doctor::{DoctorOptions, Verdict, examine};
use spanmesh_collector::service::{DEFAULT_CONFIG, Files, Input, Service, Watch};
use spanmesh_collector::telemetry::logs;
use spanmesh_collector::{connectors, exporters, extensions, processors, receivers};
use tikv_jemallocator::Jemalloc;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;
use tracing::{error, info, warn};

/// jemalloc, since it can say what holds the memory.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Receives OTLP, processes it, and delivers it to any number of back ends.
///
/// Without a configuration it receives on 127.0.0.1:4317 (gRPC) and 127.0.0.1:4318 (HTTP) and prints
/// what arrives.
#[derive(Debug, Parser)]
#[command(name = "spanmesh-collector", version)]
struct Arguments {
    /// A configuration: a path, `file:PATH`, `env:NAME` or `yaml:TEXT`. May be given several times;
    /// later ones lie over earlier ones.
    #[arg(long, value_name = "LOCATION", global = true)]
    config: Vec<String>,

    /// One value over all configurations, as in `processors.batch.timeout=2s`. May be given several
    /// times.
    #[arg(long, value_name = "KEY=VALUE", global = true)]
    set: Vec<String>,

    /// Read the configuration again when one of its files changes.
    #[arg(long)]
    watch: bool,

    /// How many seconds what waits may take to be delivered when the collector stops.
    #[arg(long, value_name = "SECONDS", default_value_t = 20, global = true)]
    drain_timeout: u64,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say what is wrong with the configuration.
    Validate,
    /// Print the configuration as it takes effect, with secrets masked.
    #[command(alias = "print-initial-config")]
    PrintConfig {
        /// What it looks like.
        #[arg(long, value_enum, default_value_t = Format::Yaml)]
        format: Format,
        /// Whether secrets are masked.
        #[arg(long, value_enum, default_value_t = Mode::Redacted)]
        mode: Mode,
    },
    /// List the components that are available.
    Components,
    Doctor(DoctorOptions),
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Format {
    Yaml,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Mode {
    Redacted,
    Unredacted,
}

/// The signals that end the collector.
struct Termination {
    terminate: Signal,
    interrupt: Signal,
}

/// How long threads that write may take to end, once everything is accounted for.
const THREADS_TIMEOUT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match &arguments.command {
        None => run(&arguments),
        Some(Command::Validate) => validate(&arguments),
        Some(Command::PrintConfig { format, mode }) => print_config(&arguments, *format, *mode),
        Some(Command::Components) => {
            print_components();
            Ok(())
        }
        Some(Command::Doctor(options)) => return doctor(options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let input = input(arguments)?;
    let (plan, files) = input.plan();
    let plan = plan.map_err(|problems| problems.to_string())?;
    logs::start(&plan.telemetry().logs)?;
    for warning in plan.warnings() {
        warn!("{warning}");
    }
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| format!("cannot start the runtime: {error}"))?;
    let drain_timeout = Duration::from_secs(arguments.drain_timeout);
    let result = runtime.block_on(async {
        let mut termination = Termination::new()?;
        let mut hangup = listen(SignalKind::hangup())?;
        // What starts or changes may have to wait for a disk, for which an end does not wait.
        let mut service = tokio::select! {
            started = Service::start(plan) => started.map_err(|error| error.to_string())?,
            name = termination.signal() => {
                info!(signal = name, "stopped before it was ready");
                return Ok(());
            }
        };
        let mut watch = Watch::new(files);
        if arguments.watch && watch.is_pointless() {
            warn!("--watch changes nothing: the configuration is not in files");
        }
        let end = loop {
            tokio::select! {
                name = termination.signal() => break Ok(name),
                _ = hangup.recv() => info!("SIGHUP: reading the configuration again"),
                () = watch.changed(), if arguments.watch => {
                    info!("a file of the configuration has changed: reading it again");
                }
            }
            tokio::select! {
                files = reload(&mut service, &input) => match files {
                    Ok(files) => watch = Watch::new(files),
                    Err(error) => break Err(error),
                },
                name = termination.signal() => break Ok(name),
            }
        };
        match &end {
            Ok(name) => info!(signal = name, "stopping"),
            Err(error) => error!("stopping: {error}"),
        }
        service.stop(drain_timeout).await;
        end.map(drop)
    });
    // Threads that still write, to a pipe that nobody reads or a disk that hangs, end with the process.
    runtime.shutdown_timeout(THREADS_TIMEOUT);
    result
}

/// Runs by what the configuration says now, if it can; says what its files hold.
async fn reload(service: &mut Service, input: &Input) -> Result<Files, String> {
    let input = input.clone();
    let read = spawn_blocking(move || input.plan()).await;
    let (plan, files) = read.map_err(|error| format!("cannot read the configuration: {error}"))?;
    let reloaded = service.reload(plan).await;
    reloaded.map_err(|error| error.to_string())?;
    Ok(files)
}

fn listen(kind: SignalKind) -> Result<Signal, String> {
    signal(kind).map_err(|error| format!("cannot wait for signals: {error}"))
}

fn validate(arguments: &Arguments) -> Result<(), String> {
    let (plan, _) = input(arguments)?.plan();
    let plan = plan.map_err(|problems| problems.to_string())?;
    for warning in plan.warnings() {
        eprintln!("warning: {warning}");
    }
    println!("the configuration is valid");
    Ok(())
}

fn print_config(arguments: &Arguments, format: Format, mode: Mode) -> Result<(), String> {
    let effective = input(arguments)?.effective();
    let effective = effective.map_err(|problems| problems.to_string())?;
    for warning in effective.warnings() {
        eprintln!("warning: {warning}");
    }
    let shown = match mode {
        Mode::Redacted => effective.masked(),
        Mode::Unredacted => effective,
    };
    let form = match format {
        Format::Yaml => Form::Yaml,
        Format::Json => Form::Json,
    };
    print!("{}", shown.render(form));
    Ok(())
}

fn doctor(options: &DoctorOptions) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cannot start the runtime: {error}");
            return Verdict::Unknown.code().into();
        }
    };
    let report = runtime.block_on(examine(options));
    // Whoever reads may have seen enough.
    let _ = write!(std::io::stdout(), "{report}");
    report.verdict().code().into()
}

fn input(arguments: &Arguments) -> Result<Input, String> {
    Input::new(&arguments.config, &arguments.set, DEFAULT_CONFIG)
        .map_err(|problems| problems.to_string())
}

fn print_components() {
    let print = |kind: &str, names: &[&str]| {
        println!("{kind}:");
        for name in names {
            println!("  - {name}");
        }
    };
    let names: Vec<_> = receivers::REGISTRY.iter().map(|f| f.kind()).collect();
    print("receivers", &names);
    let names: Vec<_> = processors::REGISTRY.iter().map(|f| f.kind()).collect();
    print("processors", &names);
    let names: Vec<_> = exporters::REGISTRY.iter().map(|f| f.kind()).collect();
    print("exporters", &names);
    let names: Vec<_> = connectors::REGISTRY.iter().map(|f| f.kind()).collect();
    print("connectors", &names);
    let names: Vec<_> = extensions::REGISTRY.iter().map(|f| f.kind()).collect();
    print("extensions", &names);
}

// === impl Termination ===

impl Termination {
    fn new() -> Result<Self, String> {
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// The name of the next signal.
    async fn signal(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
