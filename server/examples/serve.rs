//! Serves a directory of models with the defaults: `cargo run -p buckler-server --example serve -- models 127.0.0.1:8080`.
use buckler_server::{Config, run};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().init();
    let mut arguments = std::env::args().skip(1);
    let models = arguments.next().unwrap_or_else(|| "models".to_owned());
    let address = arguments.next();
    let address = address.unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let listener = tokio::net::TcpListener::bind(&address).await?;
    println!("http://{}", listener.local_addr()?);
    let shutdown = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    run(listener, Config::new(models), shutdown).await?;
    Ok(())
}
