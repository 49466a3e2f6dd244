//! Values between pixels.
use super::filter::Border;

/// The value at row `y` and column `x`, between the four pixels around it.
pub(super) fn bilinear(plane: &[f32], width: usize, y: f32, x: f32, border: Border) -> f32 {
    let height = plane.len() / width.max(1);
    let (top, left) = (y.floor(), x.floor());
    let (down, right) = (y - top, x - left);
    let rows = [0, 1].map(|step| border.index(top as isize + step, height) * width);
    let columns = [0, 1].map(|step| border.index(left as isize + step, width));
    let [above, below] = rows.map(|row| {
        let [before, after] = columns.map(|column| plane[row + column]);
        before + right * (after - before)
    });
    above + down * (below - above)
}

/// The middle of the image enlarged by `factor`, 1 or more, to the image's size, as SciPy's `zoom` of order 1 does it:
/// the corners stay corners.
pub(super) fn zoomed(plane: &[f32], width: usize, factor: f64) -> Vec<f32> {
    let height = plane.len() / width.max(1);
    let columns = enlarged(width, factor);
    let mut values = Vec::with_capacity(plane.len());
    for between in enlarged(height, factor) {
        let [above, below] = between.pixels.map(|row| &plane[row * width..][..width]);
        values.extend(columns.iter().map(|column| {
            let [above, below] = [above, below].map(|row| {
                let [before, after] = column.pixels.map(|x| row[x]);
                before + column.share * (after - before)
            });
            above + between.share * (below - above)
        }));
    }
    values
}

/// A place between two pixels of a row.
struct Between {
    pixels: [usize; 2],
    /// How much the second one counts.
    share: f32,
}

/// Where the pixels of an enlarged row of `length` come from.
fn enlarged(length: usize, factor: f64) -> Vec<Between> {
    let part = ((length as f64 / factor).ceil() as usize).clamp(1, length);
    let first = (length - part) / 2;
    let last = first + part - 1;
    let whole = ((part as f64 * factor).round_ties_even() as usize).max(length);
    let trimmed = (whole - length) / 2;
    let step = (part - 1) as f64 / (whole - 1).max(1) as f64;
    (trimmed..trimmed + length)
        .map(|at| {
            let place = first as f64 + at as f64 * step;
            let before = (place as usize).min(last);
            Between {
                pixels: [before, (before + 1).min(last)],
                share: (place - before as f64) as f32,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_pixels_is_between_their_values() {
        let plane = [0.0, 1.0, 2.0, 4.0];
        let at = |y, x| bilinear(&plane, 2, y, x, Border::Mirror);
        assert_eq!(at(0.0, 0.25), 0.25);
        assert_eq!(at(0.5, 0.0), 1.0);
        assert_eq!(at(0.5, 0.5), 1.75);
        assert_eq!(at(1.0, 1.5), 3.0);
        assert_eq!(at(-0.25, 0.0), 0.5);
    }

    /// A ramp stays a ramp, less steep by how much longer it got: 5 of 8 pixels from number 1 on over 5 * 1.7 = 8.5, of
    /// which Python rounds to the even 8.
    #[test]
    fn an_enlarged_ramp_is_less_steep() {
        let ramp: Vec<f32> = (0..8).map(|x| x as f32).collect();
        let row = zoomed(&ramp, 8, 1.7);
        for (x, value) in row.iter().enumerate() {
            let expected = 1.0 + x as f32 * 4.0 / 7.0;
            assert!((value - expected).abs() < 1e-5, "{x}: {value}");
        }
        assert_eq!(zoomed(&ramp, 8, 1.0), ramp);
        assert_eq!(zoomed(&ramp, 1, 1.0), ramp);
    }
}
