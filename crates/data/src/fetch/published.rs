use crate::mnist;

/// A data set as its authors published it.
pub(crate) struct Published {
    pub(super) name: &'static str,
    /// The files that are read, for people who put them there themselves.
    pub(super) files: &'static str,
    pub(super) items: Vec<Item>,
}

/// A file to download.
pub(super) struct Item {
    pub(super) url: String,
    pub(super) md5: String,
    pub(super) bytes: u64,
    pub(super) holds: Holds,
}

pub(super) enum Holds {
    /// What is wanted.
    File,
    /// A tar archive, packed with gzip.
    Archive {
        /// The directory in it.
        folder: &'static str,
        /// The files in that directory that are wanted.
        members: &'static [&'static str],
    },
}

impl Item {
    pub(super) fn file_name(&self) -> &str {
        self.url.rsplit('/').next().unwrap_or(&self.url)
    }
}

impl Published {
    /// The mirror that torchvision uses; the authors' own page no longer has the files.
    pub(crate) fn mnist() -> Self {
        let item = |name: &str, md5: &str, bytes| Item {
            url: format!("https://ossci-datasets.s3.amazonaws.com/mnist/{name}.gz"),
            md5: md5.to_owned(),
            bytes,
            holds: Holds::File,
        };
        Self {
            name: "mnist",
            files: mnist::FILES,
            items: vec![
                item(
                    "train-images-idx3-ubyte",
                    "f68b3c2dcbeaaa9fbdd348bbdeb94873",
                    9_912_422,
                ),
                item(
                    "train-labels-idx1-ubyte",
                    "d53e105ee54ea40749a09fcbcd1e9432",
                    28_881,
                ),
                item(
                    "t10k-images-idx3-ubyte",
                    "9fb629c4189551a2d022fa330f9573f3",
                    1_648_877,
                ),
                item(
                    "t10k-labels-idx1-ubyte",
                    "ec29112dd5afa0611ce80d1b7f02629c",
                    4_542,
                ),
            ],
        }
    }

    pub(crate) fn cifar10() -> Self {
        Self {
            name: "cifar10",
            files: "`data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin`",
            items: vec![Item {
                url: "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz".to_owned(),
                md5: "c32a1d4ab5d03f1284b67883e8d87530".to_owned(),
                bytes: 170_052_171,
                holds: Holds::Archive {
                    folder: "cifar-10-batches-bin",
                    members: &[
                        "data_batch_1.bin",
                        "data_batch_2.bin",
                        "data_batch_3.bin",
                        "data_batch_4.bin",
                        "data_batch_5.bin",
                        "test_batch.bin",
                    ],
                },
            }],
        }
    }

    pub(crate) fn cifar100() -> Self {
        Self {
            name: "cifar100",
            files: "`train.bin` and `test.bin`",
            items: vec![Item {
                url: "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz".to_owned(),
                md5: "03b5dce01913d631647c71ecec9e9cb8".to_owned(),
                bytes: 168_513_733,
                holds: Holds::Archive {
                    folder: "cifar-100-binary",
                    members: &["train.bin", "test.bin"],
                },
            }],
        }
    }
}
