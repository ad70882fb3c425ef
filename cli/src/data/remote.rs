//! Where public data sets are offered.

/// A file on the network.
pub(super) struct Remote {
    /// The data set that it belongs to.
    pub set: &'static str,
    /// The folder below the data folder that it goes to.
    pub folder: &'static str,
    /// Where it is offered; the last part is the file's name.
    pub url: &'static str,
    /// What to do with it.
    pub form: Form,
    /// The SHA-256 of its unpacked contents, where it was checked against the original; other
    /// files are recorded on first use.
    pub unpacked: Option<&'static str>,
}

/// How a file comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Used as it is; loaders read gzip.
    AsIs,
    /// A gzipped tar archive, unpacked by `tar`.
    TarGz,
    /// A zip archive of .gz files.
    Zip,
}

impl Remote {
    /// The file's name.
    pub(super) fn name(&self) -> &'static str {
        self.url.rsplit('/').next().unwrap_or(self.url)
    }
}

/// The files of a set.
pub(super) fn of(set: &str) -> Vec<&'static Remote> {
    ALL.iter().filter(|remote| remote.set == set).collect()
}

/// The sets that can be fetched, each once.
pub(super) fn sets() -> Vec<&'static str> {
    let mut sets: Vec<&str> = ALL.iter().map(|remote| remote.set).collect();
    sets.dedup();
    sets
}

const fn mnist(url: &'static str, unpacked: &'static str) -> Remote {
    Remote { set: "mnist", folder: "mnist", url, form: Form::AsIs, unpacked: Some(unpacked) }
}

const fn plain(set: &'static str, folder: &'static str, url: &'static str, form: Form) -> Remote {
    Remote { set, folder, url, form, unpacked: None }
}

/// MNIST's own page no longer serves its files; PyTorch's mirror holds the same bits. Fashion-MNIST
/// is served by its authors, EMNIST by NIST, CIFAR by the University of Toronto.
static ALL: &[Remote] = &[
    mnist(
        "https://ossci-datasets.s3.amazonaws.com/mnist/train-images-idx3-ubyte.gz",
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    mnist(
        "https://ossci-datasets.s3.amazonaws.com/mnist/train-labels-idx1-ubyte.gz",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    mnist(
        "https://ossci-datasets.s3.amazonaws.com/mnist/t10k-images-idx3-ubyte.gz",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    mnist(
        "https://ossci-datasets.s3.amazonaws.com/mnist/t10k-labels-idx1-ubyte.gz",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
    plain(
        "fashion-mnist",
        "fashion-mnist",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/train-images-idx3-ubyte.gz",
        Form::AsIs,
    ),
    plain(
        "fashion-mnist",
        "fashion-mnist",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/train-labels-idx1-ubyte.gz",
        Form::AsIs,
    ),
    plain(
        "fashion-mnist",
        "fashion-mnist",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/t10k-images-idx3-ubyte.gz",
        Form::AsIs,
    ),
    plain(
        "fashion-mnist",
        "fashion-mnist",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/t10k-labels-idx1-ubyte.gz",
        Form::AsIs,
    ),
    plain("emnist", "emnist", "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip", Form::Zip),
    plain("cifar10", "", "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", Form::TarGz),
    plain("cifar100", "", "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz", Form::TarGz),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_on_the_list_can_be_loaded_and_has_no_doubled_file() {
        for set in sets() {
            let entry = varangian_learn::data::ALL.iter().find(|entry| entry.name == set);
            assert!(entry.is_some_and(|entry| !entry.facts.files.is_empty()), "{set}");
            let mut names: Vec<&str> = of(set).iter().map(|remote| remote.name()).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), of(set).len(), "{set}");
        }
    }
}
