"""Writes wrn-10-1-he.pt, a checkpoint as the hypersphere models of Pang et al. 2020 were released (TRADES' WideResNet with
its unused `sub_block1`, under `module.` of DataParallel, rows of the last layer not of unit length), and the logits that
PyTorch computes with it, logits.json. Needs torch: `python write.py`.
"""
import json
import torch
import torch.nn as nn
import torch.nn.functional as F

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2471, 0.2435, 0.2616)
SCALE = 15.0


class BasicBlock(nn.Module):
    def __init__(self, inp, out, stride):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inp)
        self.conv1 = nn.Conv2d(inp, out, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.equal = inp == out
        self.convShortcut = None if self.equal else nn.Conv2d(inp, out, 1, stride, 0, bias=False)

    def forward(self, x):
        activated = F.relu(self.bn1(x))
        out = self.conv2(F.relu(self.bn2(self.conv1(activated))))
        return out + (x if self.equal else self.convShortcut(activated))


class Group(nn.Module):
    def __init__(self, inp, out, stride):
        super().__init__()
        self.layer = nn.Sequential(BasicBlock(inp, out, stride))

    def forward(self, x):
        return self.layer(x)


class WideResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.block1 = Group(16, 16, 1)
        self.sub_block1 = Group(16, 16, 1)
        self.block2 = Group(16, 32, 2)
        self.block3 = Group(32, 64, 2)
        self.bn1 = nn.BatchNorm2d(64)
        self.fc = nn.Linear(64, 10, bias=False)

    def forward(self, x):
        x = (x - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)
        x = self.block3(self.block2(self.block1(self.conv1(x))))
        z = F.relu(self.bn1(x)).mean((2, 3))
        return SCALE * F.linear(F.normalize(z), F.normalize(self.fc.weight))


torch.manual_seed(0)
model = WideResNet()
images = (torch.arange(2 * 3 * 32 * 32) * 37 % 256).float().view(2, 3, 32, 32) / 255
model.train()
for _ in range(20):  # running statistics that are not those of the initialisation
    model(torch.rand(16, 3, 32, 32))
for module in model.modules():
    if isinstance(module, nn.BatchNorm2d):
        nn.init.uniform_(module.weight, 0.5, 1.5)
        nn.init.normal_(module.bias, 0.0, 0.2)
model.eval()
with torch.no_grad():
    logits = model(images)
torch.save({"state_dict": nn.DataParallel(model).state_dict()}, "wrn-10-1-he.pt")
json.dump(logits.tolist(), open("logits.json", "w"))
