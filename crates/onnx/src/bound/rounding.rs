//! What keeps bounds sound although they are computed in float32.
//!
//! A sum of n products that is computed in any order, with or without fused multiply-adds, is off by at most
//! `gamma_n sum |w||x|` with `gamma_n = n u / (1 - n u)` and the unit roundoff `u = 2^-24` (Higham 2002, section 3.1). Three such
//! errors meet at every affine operator: the bound's own centre, the bound's own radius, and the run of the network itself, whose
//! logits are those that get compared. So bounds hold for the network in exact arithmetic and for the network as a float32
//! runtime computes it, the folding of a batch normalization into the weights in front of it included. Left aside are numbers below
//! the smallest normal one, about 1e-38, and kernels that transform or shorten what they multiply (Winograd's algorithm, TF32).

/// The unit roundoff of float32.
const UNIT: f64 = 1.0 / (1u64 << 24) as f64;

/// Operations around the sum itself: centre and radius of the interval, the folding of neighbours into weights, bounds out of both.
const AROUND: u64 = 16;

/// Errors that meet, and a little for the errors of the errors.
const ERRORS: f64 = 3.0;

/// Beyond it, bounds of errors say little.
const LARGEST: f64 = 1.0 / 16.0;

/// Of one rounded operation, twice over.
pub(super) const STEP: f32 = 2.4e-7;

/// Of the kernels of runtimes for transcendental functions, relative to 1 or the result, whichever is larger: several times
/// what polynomials in float32 are off by.
pub(super) const KERNEL: f32 = 4e-6;

/// The share of `sum |w||x|` by which a sum of so many terms is widened.
///
/// # Errors
/// When there are so many terms that the error may be as large as the sum.
pub(super) fn share(terms: u64) -> Result<f32, String> {
    let count = terms.saturating_add(AROUND) as f64 * UNIT;
    if count > LARGEST {
        return Err(format!(
            "it sums {terms} terms, so many that rounding alone leaves no bound; use a smaller layer"
        ));
    }
    Ok(((ERRORS * count / (1.0 - count)) as f32).next_up())
}

/// The factor that makes up for the rounding of a sum of so many terms of one sign.
pub(super) fn growth(terms: u64) -> Result<f32, String> {
    Ok(1.0 + share(terms)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_three_errors_of_the_terms_and_absurd_sums_are_refused() {
        let share_of = |terms| f64::from(share(terms).unwrap());
        assert!(share_of(1000) > 3.0 * 1016.0 * UNIT && share_of(1000) < 3.001 * 1016.0 * UNIT);
        assert!(share(1 << 21).unwrap_err().contains("2097152 terms"));
        assert!(share(u64::MAX).is_err());
    }
}
