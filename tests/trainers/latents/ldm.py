"""The encoder and decoder of CompVis' latent-diffusion, written from their own definition, for the layout of their checkpoints and as a reference for numbers."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad, silu


def _norm(width: int) -> nn.GroupNorm:
    return nn.GroupNorm(32, width, eps=1e-6)


class Resnet(nn.Module):
    def __init__(self, inside: int, out: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = _norm(inside), nn.Conv2d(inside, out, 3, padding=1)
        self.norm2, self.conv2 = _norm(out), nn.Conv2d(out, out, 3, padding=1)
        if inside != out:
            self.nin_shortcut = nn.Conv2d(inside, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv2(silu(self.norm2(self.conv1(silu(self.norm1(x))))))
        return h + (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x)


class Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = _norm(width)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(width, width, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        b, c, height, width = x.shape
        q, k, v = (f(self.norm(x)).flatten(2) for f in (self.q, self.k, self.v))
        weights = torch.softmax(q.transpose(1, 2) @ k / c**0.5, dim=2)  # (b, queries, keys)
        return x + self.proj_out((v @ weights.transpose(1, 2)).view(b, c, height, width))


class Scale(nn.Module):
    def __init__(self, width: int, down: bool) -> None:
        super().__init__()
        self.down = down
        self.conv = nn.Conv2d(width, width, 3, stride=2) if down else nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(pad(x, (0, 1, 0, 1)) if self.down else interpolate(x, scale_factor=2.0))


def _level(inside: int, out: int, blocks: int, attends: bool) -> Any:
    level = nn.Module()
    level.block = nn.ModuleList(Resnet(inside if i == 0 else out, out) for i in range(blocks))
    level.attn = nn.ModuleList(Attention(out) for _ in range(blocks if attends else 0))
    return level


def _middle(width: int) -> Any:
    middle = nn.Module()
    middle.block_1, middle.attn_1, middle.block_2 = Resnet(width, width), Attention(width), Resnet(width, width)
    return middle


def _through(level: Any, x: Tensor) -> Tensor:
    for i, block in enumerate(level.block):
        x = block(x)
        if len(level.attn):
            x = level.attn[i](x)
    return x


class Half(nn.Module):
    """Encoder or decoder: `widths` from the picture's side, attention in the levels of `attends`."""

    def __init__(self, widths: tuple[int, ...], attends: tuple[int, ...], inside: int, out: int, down: bool) -> None:
        super().__init__()
        self.is_down, last = down, widths[-1]
        self.conv_in = nn.Conv2d(inside, widths[0] if down else last, 3, padding=1)
        blocks = 1 if down else 2  # the decoder has one more than the encoder
        levels = nn.ModuleList()
        for i, width in enumerate(widths):
            before = widths[max(i - 1, 0)] if down else widths[min(i + 1, len(widths) - 1)]
            level = _level(before, width, blocks, i in attends)
            if down and i < len(widths) - 1:
                level.downsample = Scale(width, down=True)
            if not down and i > 0:
                level.upsample = Scale(width, down=False)
            levels.append(level)
        setattr(self, "down" if down else "up", levels)
        self.levels: Any = tuple(levels)  # a tuple, so that they have one name in the layout
        self.mid = _middle(last)
        self.norm_out = _norm(last if down else widths[0])
        self.conv_out = nn.Conv2d(last if down else widths[0], out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        middle = self.mid
        if self.is_down:
            for level in self.levels:
                x = _through(level, x)
                x = level.downsample(x) if hasattr(level, "downsample") else x
        x = middle.block_2(middle.attn_1(middle.block_1(x)))
        if not self.is_down:
            for level in reversed(self.levels):
                x = _through(level, x)
                x = level.upsample(x) if hasattr(level, "upsample") else x
        return self.conv_out(silu(self.norm_out(x)))


class Ldm(nn.Module):
    """AutoencoderKL, or VQModel where `codes` are given, of latent-diffusion. embedded: channels of the latents, where not the encoder's."""

    def __init__(self, latent: int = 4, codes: int = 0, attends: tuple[int, ...] = (), embedded: int | None = None) -> None:
        super().__init__()
        widths, embedded = (32, 64, 64), embedded or latent
        double = 1 if codes else 2
        self.encoder = Half(widths, attends, 3, double * latent, down=True)
        self.decoder = Half(widths, attends, latent, 3, down=False)
        self.quant_conv = nn.Conv2d(double * latent, double * embedded, 1)
        self.post_quant_conv = nn.Conv2d(embedded, latent, 1)
        if codes:
            self.quantize = nn.Module()
            self.quantize.embedding = nn.Embedding(codes, embedded)

    def encode(self, x: Tensor) -> Tensor:
        """Moments of a KL, latents before quantisation of a VQ."""
        return self.quant_conv(self.encoder(x))

    def decode(self, z: Tensor) -> Tensor:
        if hasattr(self, "quantize"):
            quantize: Any = self.quantize
            codes = quantize.embedding.weight
            z = codes[torch.cdist(z.movedim(1, -1).flatten(0, 2), codes).argmin(1)].view(z.movedim(1, -1).shape).movedim(-1, 1)
        return self.decoder(self.post_quant_conv(z))
