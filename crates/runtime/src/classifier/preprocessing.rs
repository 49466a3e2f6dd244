//! From a card's words to the preprocessing of images.
use buckler_attack::InputSpec;
use buckler_data::{Grey, Preprocessing, Resize};
use buckler_onnx::Card;

/// What the card states for images of this shape; what it leaves open is as [`Preprocessing::new`] says.
pub(super) fn of(card: &Card, input: InputSpec) -> Preprocessing {
    let usual = Preprocessing::new([input.channels, input.height, input.width]);
    let Some(stated) = &card.input.preprocessing else {
        return usual;
    };
    Preprocessing {
        resize: match stated.resize {
            buckler_onnx::Resize::Stretch => Resize::Stretch,
            buckler_onnx::Resize::CenterCrop => Resize::CenterCrop,
        },
        crop_pct: stated.crop_pct,
        background: stated.background.0,
        grey: match stated.grey {
            buckler_onnx::Grey::Refuse => Grey::Refuse,
            buckler_onnx::Grey::Luma => Grey::Luma,
        },
        ..usual
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INPUT: InputSpec = InputSpec {
        channels: 1,
        height: 28,
        width: 30,
    };

    #[test]
    fn what_the_card_states_is_taken() {
        let mut card = Card::default();
        card.input.preprocessing = Some(buckler_onnx::Preprocessing {
            resize: buckler_onnx::Resize::CenterCrop,
            crop_pct: 0.9,
            background: buckler_onnx::Color([1, 2, 3]),
            grey: buckler_onnx::Grey::Luma,
        });
        let expected = Preprocessing {
            channels: 1,
            height: 28,
            width: 30,
            resize: Resize::CenterCrop,
            crop_pct: 0.9,
            background: [1, 2, 3],
            grey: Grey::Luma,
        };
        assert_eq!(of(&card, INPUT), expected);
    }

    #[test]
    fn images_are_stretched_where_the_card_states_nothing() {
        assert_eq!(of(&Card::default(), INPUT), Preprocessing::new([1, 28, 30]));
    }
}
