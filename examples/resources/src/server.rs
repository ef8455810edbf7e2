//! Private servers for the tests and programs of this package: each in a temporary folder, reached by a Unix socket.

use std::{
    env, fs, io, iter,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use postgres::{Client, Config, NoTls};

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_mins(1);

/// Runs a server until standard input ends, which it also does if the process of this program is killed.
const UNTIL_INPUT_ENDS: &str = r#"
signal=$1 folder=$2; shift 2
"$@" </dev/null >"$folder/log" 2>&1 &
read -r _
kill -s "$signal" $! && wait $!
rm -rf "$folder"
"#;

/// A server, until it is dropped.
struct Server {
    folder: PathBuf,
    shell: Child,
}

impl Server {
    /// Starts a server in a folder, which is removed when it has ended after this signal.
    fn start(folder: PathBuf, server: &Command, signal: &str) -> io::Result<Self> {
        let shell = Command::new("sh")
            .args(["-c", UNTIL_INPUT_ENDS, "sh", signal])
            .arg(&folder)
            .arg(server.get_program())
            .args(server.get_args())
            .stdin(Stdio::piped())
            .spawn()?;
        Ok(Self { folder, shell })
    }

    /// Tries to connect until it works.
    fn connect<C, E: ToString>(&self, connect: impl Fn() -> Result<C, E>) -> io::Result<C> {
        let begin = Instant::now();
        loop {
            match connect() {
                Ok(client) => return Ok(client),
                Err(error) if begin.elapsed() > PATIENCE => {
                    let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                    let message =
                        format!("the server does not start: {}\n{log}", error.to_string());
                    return Err(io::Error::other(message));
                }
                Err(_) => thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

/// A PostgreSQL server, until it is dropped.
pub struct Postgres(Server);

impl Postgres {
    /// Starts a server whose data is lost at its end. It searches for a deadlock after a wait of 100 ms.
    ///
    /// # Errors
    ///
    /// If PostgreSQL is not installed, or does not start.
    pub fn start() -> io::Result<Self> {
        let (initdb, postgres) = (postgres_program("initdb")?, postgres_program("postgres")?);
        let folder = tempfile::Builder::new().prefix("postgres-").tempdir()?;
        let data = folder.path().join("data");
        let user = user_in(folder.path())?;
        let mut initdb = user(&initdb);
        initdb.args(["--username=app", "--auth=trust"]);
        initdb.args(["--no-sync", "--no-locale", "--encoding=UTF8"]);
        run(initdb.arg("--pgdata").arg(&data))?;
        let rules = data.join("pg_hba.conf");
        let trust = fs::read_to_string(&rules)?;
        fs::write(&rules, format!("local all guarded password\n{trust}"))?;

        let mut server = user(&postgres);
        server.arg("-D").arg(&data).arg("-k").arg(folder.path());
        for setting in [
            "listen_addresses=",
            "deadlock_timeout=100ms",
            "fsync=off",
            "full_page_writes=off",
            "synchronous_commit=off",
            "autovacuum=off",
            "max_connections=50",
        ] {
            server.args(["-c", setting]);
        }
        let server = Self(Server::start(folder.keep(), &server, "QUIT")?);
        server.0.connect(|| server.connect())?;
        Ok(server)
    }

    /// Connects to it.
    ///
    /// # Errors
    ///
    /// Those of the client.
    pub fn connect(&self) -> Result<Client, postgres::Error> {
        self.config().connect(NoTls)
    }

    /// How it is reached, as text for another process.
    #[must_use]
    pub fn parameters(&self) -> String {
        format!("host={} user=app dbname=postgres", self.0.folder.display())
    }

    /// How it is reached. The user `guarded`, once created, needs a password.
    #[must_use]
    pub fn config(&self) -> Config {
        let mut config = Config::new();
        config.host_path(&self.0.folder).user("app").dbname("postgres");
        config
    }
}

/// A Redis server, until it is dropped.
pub struct Redis(Server);

impl Redis {
    /// Starts a server whose data is lost at its end.
    ///
    /// # Errors
    ///
    /// If Redis is not installed, or does not start.
    pub fn start() -> io::Result<Self> {
        let missing = || io::Error::other("Redis is not installed: apt-get install redis-server");
        let program = program("redis-server", iter::empty()).ok_or_else(missing)?;
        let folder = tempfile::Builder::new().prefix("redis-").tempdir()?;
        let mut server = Command::new(program);
        server.args(["--port", "0", "--save", "", "--dir"]).arg(folder.path());
        server.arg("--unixsocket").arg(folder.path().join("socket"));
        let server = Self(Server::start(folder.keep(), &server, "TERM")?);
        server.0.connect(|| server.connect())?;
        Ok(server)
    }

    /// Connects to it.
    ///
    /// # Errors
    ///
    /// Those of the client.
    pub fn connect(&self) -> redis::RedisResult<redis::Connection> {
        redis::Client::open(self.address())?.get_connection()
    }

    /// Its address, as a URL.
    #[must_use]
    pub fn address(&self) -> String {
        format!("redis+unix://{}", self.0.folder.join("socket").display())
    }
}

/// Finds a program of PostgreSQL, which Debian does not put into the path.
fn postgres_program(name: &str) -> io::Result<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
    versions.sort_by_key(|folder| {
        folder.parent().and_then(Path::file_name).map(|it| (it.len(), it.to_owned()))
    });
    program(name, versions.into_iter().rev())
        .ok_or_else(|| io::Error::other("PostgreSQL is not installed: apt-get install postgresql"))
}

fn program(name: &str, elsewhere: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).chain(elsewhere).map(|folder| folder.join(name)).find(|it| it.is_file())
}

/// Returns a function that makes commands of the user who has the folder. That is `postgres` if this runs as root, as
/// which PostgreSQL does not run.
fn user_in(folder: &Path) -> io::Result<impl Fn(&Path) -> Command + use<>> {
    let is_root = folder.metadata()?.uid() == 0;
    if is_root {
        run(Command::new("chown").arg("postgres:").arg(folder))?;
    }
    Ok(move |program: &Path| {
        if !is_root {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
        command
    })
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let (program, said) =
        (command.get_program().display(), String::from_utf8_lossy(&output.stderr));
    Err(io::Error::other(format!("{program}: {said}")))
}
