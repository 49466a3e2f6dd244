use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// The least part of the image's area; the largest is all of it.
const LEAST_AREA: f64 = 0.08;
/// Width over height is between this and its inverse.
const NARROWEST: f64 = 3.0 / 4.0;
const TRIES: usize = 10;

/// A part of an image, in pixels from the top left; inside it and not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) x: u32,
    pub(crate) y: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl Region {
    /// The random resized crop's part of an image of `width` x `height`: the area uniform in 8 to 100 %, the logarithm
    /// of width over height uniform between those of 3/4 and 4/3, the place uniform. When ten such parts do not fit, the
    /// largest one in the centre that has an allowed ratio. As torchvision's `RandomResizedCrop`.
    pub(crate) fn draw(width: u32, height: u32, rng: &mut ChaCha8Rng) -> Self {
        let area = f64::from(width) * f64::from(height);
        let bound = libm::log(NARROWEST);
        for _ in 0..TRIES {
            let part = area * rng.random_range(LEAST_AREA..=1.0);
            let ratio = libm::exp(rng.random_range(bound..=-bound));
            let sides = [part * ratio, part / ratio].map(|square| square.sqrt().round() as u32);
            let [w, h] = sides;
            if (1..=width).contains(&w) && (1..=height).contains(&h) {
                return Self {
                    x: rng.random_range(0..=width - w),
                    y: rng.random_range(0..=height - h),
                    width: w,
                    height: h,
                };
            }
        }
        Self::centre(width, height)
    }

    fn centre(width: u32, height: u32) -> Self {
        let (w, h) = (f64::from(width), f64::from(height));
        let (w, h) = match w / h {
            ratio if ratio < NARROWEST => (w, w / NARROWEST),
            ratio if ratio > NARROWEST.recip() => (h / NARROWEST, h),
            _ => (w, h),
        };
        let (w, h) = (
            (w.round() as u32).clamp(1, width),
            (h.round() as u32).clamp(1, height),
        );
        Self {
            x: (width - w) / 2,
            y: (height - h) / 2,
            width: w,
            height: h,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stream::augmentation_stream;

    proptest! {
        #[test]
        fn a_region_lies_in_the_image(width in 1u32..3000, height in 1u32..3000, index: usize) {
            let rng = &mut augmentation_stream(0, 0, index);
            for region in [Region::draw(width, height, rng), Region::centre(width, height)] {
                prop_assert!(region.width >= 1 && region.height >= 1);
                prop_assert!(region.x + region.width <= width);
                prop_assert!(region.y + region.height <= height);
            }
        }
    }

    #[test]
    fn area_and_ratio_are_spread_over_their_ranges() {
        let regions: Vec<Region> = (0..4000)
            .map(|index| Region::draw(1000, 1000, &mut augmentation_stream(0, 0, index)))
            .collect();
        let (mut areas, mut ratios): (Vec<f64>, Vec<f64>) = regions
            .iter()
            .map(|r| {
                let (w, h) = (f64::from(r.width), f64::from(r.height));
                (w * h / 1e6, w / h)
            })
            .unzip();
        areas.sort_by(f64::total_cmp);
        ratios.sort_by(f64::total_cmp);
        assert!(areas[0] > 0.078 && areas[0] < 0.09, "{}", areas[0]);
        assert!(areas[3999] > 0.97, "{}", areas[3999]);
        // Symmetric in the logarithm, so that the median is a square.
        assert!((ratios[2000] - 1.0).abs() < 0.02, "{}", ratios[2000]);
        assert!(ratios[0] > 0.74 && ratios[0] < 0.76, "{}", ratios[0]);
        assert!(
            ratios[3999] > 1.32 && ratios[3999] < 1.345,
            "{}",
            ratios[3999]
        );
    }

    #[test]
    fn images_too_long_for_any_ratio_are_cut_in_the_centre() {
        let region = Region::draw(1000, 10, &mut augmentation_stream(0, 0, 0));
        assert_eq!(region, Region::centre(1000, 10));
        let (width, height) = (13, 10);
        assert_eq!((region.width, region.height), (width, height));
        assert_eq!((region.x, region.y), ((1000 - 13) / 2, 0));
    }
}
