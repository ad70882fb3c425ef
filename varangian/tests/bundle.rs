//! The page's bundle, which the crate `lab` embeds, is what `page/` builds by its lock file.
//! Without node the tests say so and end.

mod chromium;

use std::path::Path;
use std::process::Command;

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn the_embedded_bundle_is_what_the_sources_build() {
    let Some(modules) = chromium::modules() else { return };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let made = tempfile::tempdir_in(&modules).unwrap();
    copy(&root.join("page/src"), &made.path().join("src"));
    for name in ["build.mjs", "tsconfig.json", "package.json"] {
        std::fs::copy(root.join("page").join(name), made.path().join(name)).unwrap();
    }
    let out = made.path().join("out");
    let run = |program: &str, arguments: &[&str]| {
        let output =
            Command::new(program).args(arguments).current_dir(made.path()).output().unwrap();
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(output.status.success(), "{program} {arguments:?}: {said}");
    };
    run("node", &["build.mjs", out.to_str().unwrap()]);
    for name in ["page.js", "page.css"] {
        let built = std::fs::read(out.join(name)).unwrap();
        let embedded = std::fs::read(root.join("lab/src/page").join(name)).unwrap();
        assert!(built == embedded, "lab/src/page/{name} is another: cd page && npm run build");
    }
    // Types too: the bundler takes them off unread.
    let compiler = modules.join("node_modules/typescript/bin/tsc");
    run("node", &[compiler.to_str().unwrap(), "--noEmit", "-p", "tsconfig.json"]);
}
