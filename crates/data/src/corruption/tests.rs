//! What holds of every corruption, and the closed forms of those that have one.
mod closed_forms;

use flate2::Crc;
use proptest::prelude::*;

use super::*;
use crate::{DataError, Dataset, Split, digits};

fn every() -> impl Iterator<Item = (Corruption, Severity)> {
    Corruption::ALL
        .into_iter()
        .flat_map(|corruption| Severity::ALL.map(|severity| (corruption, severity)))
}

/// Colours, edges and texture: something every corruption changes.
fn scene(shape: [usize; 3]) -> Vec<f32> {
    let [channels, height, width] = shape;
    let mut values = Vec::new();
    for channel in 0..channels {
        for y in 0..height {
            for x in 0..width {
                let slope = (y * 120 / height + x * 60 / width + 30 * channel) % 200;
                let edge = if (x / 5 + y / 7) % 2 == 0 { 20 } else { 55 };
                values.push((slope + edge) as f32 / 255.0);
            }
        }
    }
    values
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    let squares = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2));
    squares.sum::<f64>().sqrt()
}

#[test]
fn names_are_read_back_and_others_refused_with_all_there_are() {
    for corruption in Corruption::ALL {
        assert_eq!(corruption.name().parse(), Ok(corruption));
        assert_eq!(
            corruption.to_string().to_uppercase().parse(),
            Ok(corruption)
        );
    }
    let message = "fogg".parse::<Corruption>().unwrap_err().to_string();
    assert!(message.contains("`fogg`"), "{message}");
    for corruption in Corruption::ALL {
        assert!(message.contains(&format!("`{corruption}`")), "{message}");
    }
}

#[test]
fn families_are_those_of_the_paper() {
    let count = |family| {
        let all = Corruption::ALL.into_iter();
        all.filter(|corruption| corruption.family() == family)
            .count()
    };
    assert_eq!(count(CorruptionFamily::Noise), 3);
    assert_eq!(count(CorruptionFamily::Blur), 4);
    assert_eq!(count(CorruptionFamily::Weather), 4);
    assert_eq!(count(CorruptionFamily::Digital), 4);
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Setting {
    corruption: Corruption,
    family: CorruptionFamily,
    severity: Severity,
}

#[test]
fn files_name_corruptions_as_users_do() {
    for (corruption, severity) in every() {
        let family = corruption.family();
        let text = format!(
            "corruption = \"{corruption}\"\nfamily = \"{family}\"\nseverity = {severity}\n"
        );
        let setting = Setting {
            corruption,
            family,
            severity,
        };
        assert_eq!(toml::from_str::<Setting>(&text).unwrap(), setting);
        assert_eq!(toml::to_string(&setting).unwrap(), text);
    }
    let wrong = "corruption = \"fog\"\nfamily = \"weather\"\nseverity = 6\n";
    let message = toml::from_str::<Setting>(wrong).unwrap_err().to_string();
    assert!(
        message.contains("corruption severity of 6: it must be in 1..=5"),
        "{message}"
    );
}

#[test]
fn severities_are_one_to_five() {
    for number in 0..=u8::MAX {
        match Severity::new(number) {
            Ok(severity) => assert_eq!((severity.get(), (1..=5).contains(&number)), (number, true)),
            Err(error) => {
                assert!(!(1..=5).contains(&number));
                let expected = format!("corruption severity of {number}: it must be in 1..=5");
                assert_eq!(error.to_string(), expected);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn results_are_bytes_of_the_same_shape_and_do_not_change(
        channels in prop::sample::select(vec![1usize, 3]),
        height in 8usize..90,
        width in 8usize..90,
        severity in 1u8..=5,
        seed: u64,
        id: u64,
    ) {
        let shape = [channels, height, width];
        let (image, severity) = (scene(shape), Severity::new(severity).unwrap());
        for corruption in Corruption::ALL {
            let run = || corrupt(&image, shape, corruption, severity, seed, id).unwrap();
            let result = run();
            prop_assert_eq!(result.len(), image.len());
            for &value in &result {
                prop_assert!((0.0..=1.0).contains(&value), "{corruption}: {value}");
                let byte = value * 255.0;
                prop_assert!((byte - byte.round()).abs() < 1e-4, "{corruption}: {value}");
            }
            prop_assert_eq!(result, run());
        }
    }

    #[test]
    fn black_and_white_images_are_taken(white: bool, channels in prop::sample::select(vec![1usize, 3])) {
        let image = vec![f32::from(u8::from(white)); channels * 100];
        for (corruption, severity) in every() {
            let result = corrupt(&image, [channels, 10, 10], corruption, severity, 0, 0).unwrap();
            prop_assert!(result.iter().all(|value| value.is_finite()));
        }
    }
}

#[test]
fn the_largest_and_narrowest_images_are_taken() {
    for shape in [[1, 512, 8], [3, 8, 512], [1, 512, 512]] {
        let image = scene(shape);
        for corruption in Corruption::ALL {
            let severity = Severity::ALL[0];
            let result = corrupt(&image, shape, corruption, severity, 0, 0).unwrap();
            assert_ne!(result, image, "{corruption} {shape:?}");
        }
    }
}

#[test]
fn what_is_random_depends_on_seed_and_id() {
    let shape = [3, 32, 32];
    let image = scene(shape);
    let even = [
        Corruption::DefocusBlur,
        Corruption::ZoomBlur,
        Corruption::Brightness,
        Corruption::Contrast,
        Corruption::Pixelate,
        Corruption::JpegCompression,
    ];
    for (corruption, severity) in every() {
        let run = |seed, id| corrupt(&image, shape, corruption, severity, seed, id).unwrap();
        let (first, other_seed, other_id) = (run(1, 2), run(2, 2), run(1, 1));
        let same = even.contains(&corruption);
        assert_eq!(first == other_seed, same, "{corruption}");
        assert_eq!(first == other_id, same, "{corruption}");
        assert_eq!(other_seed == other_id, same, "{corruption}");
    }
}

#[test]
fn an_image_of_a_data_set_is_corrupted_alike_alone_and_among_others() {
    let data = digits(Split::Test, 23, 4).unwrap();
    let severity = Severity::new(3).unwrap();
    for corruption in Corruption::ALL {
        let all = corrupted(&data, corruption, severity, 9).unwrap();
        assert_eq!(all.name(), format!("digits-{corruption}-3"));
        assert_eq!(
            (all.labels(), all.classes()),
            (data.labels(), data.classes())
        );
        assert_eq!((all.split(), all.shape()), (data.split(), data.shape()));
        let part = corrupted(&data.clone().take(5), corruption, severity, 9).unwrap();
        assert_eq!(all.clone().take(5), part);
        for index in [0, 22] {
            let clean = data.to_f32([index]).unwrap();
            let alone = corrupt(&clean, data.shape(), corruption, severity, 9, index as u64);
            assert_eq!(all.to_f32([index]).unwrap(), alone.unwrap());
        }
    }
    let empty = data.take(0);
    assert!(
        corrupted(&empty, Corruption::Fog, severity, 0)
            .unwrap()
            .is_empty()
    );
}

/// By the published constants some severities are not farther away than the ones before: elastic transforms skew less and
/// bend more, glass blur smooths more what it shuffled as much, the fourth motion blur has the third one's deviation,
/// and frost darkens the scene that it whitens.
#[test]
fn severity_grows_the_distance_but_where_the_published_constants_do_not() {
    let not_growing = [
        Corruption::GlassBlur,
        Corruption::MotionBlur,
        Corruption::Frost,
        Corruption::ElasticTransform,
    ];
    let data = digits(Split::Test, 40, 0).unwrap();
    let clean = data.to_f32(0..data.len()).unwrap();
    for corruption in Corruption::ALL {
        let distances = Severity::ALL.map(|severity| {
            let result = corrupted(&data, corruption, severity, 0).unwrap();
            let result = result.to_f32(0..data.len()).unwrap();
            let images = clean.chunks(28 * 28).zip(result.chunks(28 * 28));
            images
                .map(|(clean, result)| distance(clean, result))
                .sum::<f64>()
        });
        assert!(
            distances[0] > 0.3 * data.len() as f64,
            "{corruption}: {distances:?}"
        );
        if !not_growing.contains(&corruption) {
            let grows = distances.windows(2).all(|pair| pair[1] > pair[0]);
            assert!(grows, "{corruption}: {distances:?}");
        }
    }
}

#[test]
fn what_is_no_image_is_refused() {
    let severity = Severity::ALL[0];
    let refused = |image: &[f32], shape| {
        let result = corrupt(image, shape, Corruption::Fog, severity, 0, 0);
        result.unwrap_err().to_string()
    };
    let good = vec![0.5; 100];
    let message = refused(&good, [2, 5, 10]);
    assert!(
        message.contains("channels is 2") && message.contains("1 (grey) or 3 (RGB)"),
        "{message}"
    );
    let message = refused(&good, [1, 7, 10]);
    assert_eq!(
        message,
        "height of an image to corrupt of 7: it must be in 8..=512"
    );
    let message = refused(&good, [1, 10, 513]);
    assert_eq!(
        message,
        "width of an image to corrupt of 513: it must be in 8..=512"
    );
    let message = refused(&good, [1, 10, 11]);
    assert!(message.contains("is 100, expected 110"), "{message}");
    for wrong in [f32::NAN, f32::INFINITY, -0.1, 1.5, 128.0] {
        let mut image = good.clone();
        image[42] = wrong;
        let message = refused(&image, [1, 10, 10]);
        assert!(
            message.contains(&format!("value 42 is {wrong}")),
            "{message}"
        );
    }
    let small = Dataset::new(
        "toy",
        Split::Test,
        vec!["a".into()],
        [1, 2, 2],
        vec![0; 4],
        vec![0],
    );
    let error = corrupted(&small.unwrap(), Corruption::Fog, severity, 0).unwrap_err();
    assert!(
        matches!(error, DataError::OutOfRange { value: 2, .. }),
        "{error}"
    );
}

/// No function is used whose result the platform decides, so that accuracies measured on different machines are those of
/// the same images. Other checksums mean other images, and accuracies that cannot be compared.
#[test]
fn the_images_are_the_same_on_every_platform() {
    let found = Corruption::ALL.map(|corruption| {
        let mut crc = Crc::new();
        for shape in [[1, 9, 12], [3, 32, 32], [3, 50, 70]] {
            for severity in Severity::ALL {
                let image = scene(shape);
                let result = corrupt(&image, shape, corruption, severity, 1, 2).unwrap();
                let bytes = result.iter().map(|value| (value * 255.0).round() as u8);
                crc.update(&bytes.collect::<Vec<_>>());
            }
        }
        (corruption.name(), crc.sum())
    });
    assert_eq!(found, CHECKSUMS);
}

const CHECKSUMS: [(&str, u32); 15] = [
    ("gaussian_noise", 0xe576_2dbd),
    ("shot_noise", 0xf846_181c),
    ("impulse_noise", 0x46ec_5101),
    ("defocus_blur", 0xde22_1edd),
    ("glass_blur", 0x4414_4ccf),
    ("motion_blur", 0x43f7_f422),
    ("zoom_blur", 0x2ac7_49e9),
    ("snow", 0x95f7_0625),
    ("frost", 0x2c56_1e3e),
    ("fog", 0x6ebe_bfc3),
    ("brightness", 0x0fde_0a34),
    ("contrast", 0xdf9c_ee6c),
    ("elastic_transform", 0x57b7_5784),
    ("pixelate", 0x5838_d673),
    ("jpeg_compression", 0xa544_58fc),
];
